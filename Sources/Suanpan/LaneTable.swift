// The lanes between all cores and what they refer to, and their memory: it outlives the cores.

internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanLanes
internal import SuanpanShard

final class LaneTable: Sendable {
    /// [from][to]
    let control: [[Lane?]]
    let requests: [[Lane?]]
    /// By core: the transfers that its shard coordinates.
    let tables: [TransferTable]
    private let owners: [LaneBox]
    private let boxes: [TableBox]

    private final class LaneBox: Sendable {
        let owner: LaneOwner
        init(cells: Int) throws(SystemError) { owner = try LaneOwner(cells: cells) }
    }

    private final class TableBox: Sendable {
        let owner: TransferTableOwner
        init() throws(SystemError) { owner = try TransferTableOwner(count: Shard.slotCountDefault) }
    }

    /// - Throws: When the machine does not give the memory.
    init(coreCount: Int) throws(SystemError) {
        var boxes: [TableBox] = []
        for _ in 0..<coreCount { boxes.append(try TableBox()) }
        var owners: [LaneBox] = []
        func lanes(_ cells: Int) throws(SystemError) -> [[Lane?]] {
            var lanes = [[Lane?]](repeating: Array(repeating: nil, count: coreCount), count: coreCount)
            for from in 0..<coreCount {
                for to in 0..<coreCount where to != from {
                    let box = try LaneBox(cells: cells)
                    owners.append(box)
                    lanes[from][to] = box.owner.lane
                }
            }
            return lanes
        }
        let control = try lanes(Front.controlCells(shardCount: coreCount))
        let requests = try lanes(Front.requestCells(shardCount: coreCount))
        self.control = control
        self.requests = requests
        tables = boxes.map { $0.owner.table }
        self.owners = owners
        self.boxes = boxes
    }
}

// What a simulated core is made of: its loop, and the owners of the memory that shards share.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLoop
import SuanpanShard

/// One core.
final class Node {
    var loop: Loop<SimulatedCore>
    init(_ loop: consuming Loop<SimulatedCore>) { self.loop = loop }

    var shard: Shard {
        _read { yield loop.shard }
        _modify { yield &loop.shard }
    }
    var entrance: Entrance? { loop.host.entrance }
    /// Those that its disk has not finished.
    var writes: [WriteCommand] {
        get { loop.host.writes }
        set { loop.host.writes = newValue }
    }
}

final class LaneBox {
    let owner: LaneOwner
    init(_ cells: Int) throws { owner = try LaneOwner(cells: cells) }
}

/// The lanes towards a core, by the core that they come from.
func incoming(_ lanes: [[Lane?]], _ to: Int) -> FixedArray<Lane> {
    var table = FixedArray<Lane>(count: lanes.count)
    for from in lanes.indices { if let lane = lanes[from][to] { table[from] = lane } }
    return table
}

/// A shard's transfers under way; kept until the end, as what names them may be left in a lane.
final class TableBox {
    let owner: TransferTableOwner
    init(_ slots: Int) throws { owner = try TransferTableOwner(count: slots) }
}

/// Where simulated data directories live: in memory where that can be.
let simulationRoot: String =
    FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()

/// Removes what a simulation has written. That it stays is said, and no fault of the history.
func removeFolder(_ path: String) {
    do {
        try FileManager.default.removeItem(atPath: path)
    } catch {
        FileHandle.standardError.write(Data("\(path) is left: \(error.localizedDescription)\n".utf8))
    }
}

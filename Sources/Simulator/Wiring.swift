// What a simulated core is made of: a shard, its unfinished writes, and the owners of the memory that shards share.

import Foundation
import SuanpanJournal
import SuanpanLanes
import SuanpanShard

/// One core: its shard and the writes that its disk has not finished.
final class Node {
    var shard: Shard
    /// nil: the simulation stands in for the front.
    var entrance: Entrance?
    var writes: [WriteCommand] = []
    /// No write completes before this step.
    var diskWakes = 0
    init(_ shard: consuming Shard) { self.shard = shard }
}

final class LaneBox {
    let owner: LaneOwner
    init(_ cells: Int) throws { owner = try LaneOwner(cells: cells) }
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

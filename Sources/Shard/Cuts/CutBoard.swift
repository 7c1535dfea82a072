// Where a shard sees that a cut has begun. The hot path touches one word of it, `CutBoard.time`, once a turn.

internal import SuanpanCore
internal import Synchronization

/// Where the shards of an engine see that a cut has begun.
public final class CutBoard: Sendable {
    /// The newest cut's moment; 0: none yet. Grows.
    private let moment = Atomic<UInt64>(0)
    private let cut = Mutex<Cut?>(nil)

    public init() {}

    // Acquire: pairs with the release of `begin`. Who reads the engine's clock and then finds no cut here has read a time
    // before that of any cut that begins.
    @inline(__always)
    var time: UInt64 { moment.load(ordering: .acquiring) }

    /// In one step: whoever has the cut from `newest`, and whoever gets its marker, sees its time.
    func begin(_ new: Cut) {
        cut.withLock {
            $0 = new
            moment.store(new.time, ordering: .releasing)
        }
    }

    /// The newest cut. For the shard that has seen `time` change.
    func newest() -> Cut? { cut.withLock { $0 } }
}

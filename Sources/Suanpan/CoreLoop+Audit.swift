// The books are looked at once a second while anything changes, so that broken double entry is noticed though nobody asks.

internal import SuanpanCore
internal import SuanpanLoop
internal import SuanpanShard

extension CoreLoop {
    /// While something changes, the books are looked at so often.
    static var auditEvery: UInt64 { 1_000_000_000 }

    /// Something was written here since anybody looked at the books.
    var owesAudit: Bool { loop.shard.summedLSN != loop.shard.journal.appended }

    /// Asks for a look at the books when one is due.
    mutating func audit() {
        guard owesAudit, shared.board.beginAudit(now: loop.now, every: Self.auditEvery) else { return }
        loop.ask(CutRequest(core: id, request: nil, accounts: []))
    }
}

// Offline export: what the next start of a data directory would have.

public import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard

public final class Export {
    private let books: OfflineBooks

    /// Reads and checks the whole directory, before anything of it is given out; writes nothing.
    /// - Throws: What `Verifier.verify` throws.
    public init(dataDirectory: String) throws(EngineError) { books = try OfflineBooks(dataDirectory) }

    /// Every account, shard by shard, in order of creation, as of the moment of the reading: a hold that is over by then is
    /// not shown as held.
    public func accounts(_ each: (Account) throws -> Void) rethrows {
        for shard in books.shards { try shard.forEachAccount(at: books.moment, each) }
    }

    /// Every accepted transfer, shard by shard, in the order of its debit account's log.
    public func transfers(_ each: (Transfer) throws -> Void) throws {
        let routing = books.box.directory.routing
        for (i, shard) in books.shards.enumerated() {
            func give(_ record: LogRecord) throws {
                let isOwnLeg = record.kind == .leg && routing.shard(of: record.body.debitAccountID) == ShardID(i)
                guard record.kind == .transfer || record.kind == .decision || isOwnLeg else { return }
                if !record.flags.contains(.expiry) { try each(record.transfer) }
            }
            do {
                let cursor = try ReplayCursor(books.box.directory.shard(ShardID(i)), upTo: shard.limit)
                while let group = try cursor.nextGroup() { for k in 0..<group.count { try give(group.record(k)) } }
            } catch let error as JournalError { throw EngineError.journal(error) }
            for record in shard.redone { try give(record) }
        }
    }
}

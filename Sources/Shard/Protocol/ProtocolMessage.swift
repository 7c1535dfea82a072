// What one shard says to another about transfers and chains over both, as values. No message holds an address: a transfer is
// named by its coordinator's slot, a chain by its place there, and so a peer could live elsewhere. (Within a process what
// they name is read in place: `TransferTable`.)
//
// D is the coordinator, the debit account's shard; C takes part. Docs/Architecture.md has the machine.

internal import SuanpanCore
internal import SuanpanLanes

enum ProtocolMessage: Equatable {
    // D → C.
    /// Reserve the credit of the transfer in a slot, and vote. `creditHash`: of its credit account, under the key that all
    /// shards share.
    case prepare(slot: UInt32, age: UInt64, creditHash: UInt64)
    /// Forget the reservation or the wait of a slot; answered by `released`. With a fault: that event of the chain is refused
    /// for good.
    case release(slot: UInt32, fault: FaultyEvent?)
    /// The slot's decision is durable: apply it. `sequence`: its number among those for the receiver.
    case commit(slot: UInt32, sequence: UInt64, time: Timestamp)
    /// Reserve or lock the accounts of the chain in a place of the sender, and vote.
    case lock(slot: UInt32, age: UInt64, chain: UInt32)
    /// Say how the accounts that are held for a chain stand as of a time, and vote again.
    case look(slot: UInt32, time: Timestamp)
    /// The transfer in a slot, no plain one, is decided by a standing vote of the receiver: reserve its credit. `flags`: of
    /// its record.
    case announce(slot: UInt32, creditHash: UInt64, flags: LogRecordFlags)
    /// A plain credit is decided by a standing vote of the receiver.
    case credit(LoggedCredit)
    /// The decisions up to a number are durable, all of them announced: apply them. `time`: of the last.
    case commits(through: UInt64, time: Timestamp)
    /// The standing vote of `revoke` is forgotten, and all commits of decisions that rested on it have been sent.
    case revoked(place: UInt32)

    // C → D.
    /// The credit is reserved. `stands`: and all plain credits to come are promised. `grantsPendings`: pending transfers may
    /// be announced.
    case yes(slot: UInt32, stands: Bool, grantsPendings: Bool)
    case no(slot: UInt32, code: ResultCode)
    /// The chain's accounts are reserved, or locked. `hasRoom`: for what it opens. `standing`: a bit for each event whose
    /// credit is promised from now on.
    case chainYes(slot: UInt32, isReserved: Bool, hasRoom: Bool, standing: UInt64)
    /// C waits for younger undecided transfers; D lets go of those behind this one.
    case waiting(slot: UInt32)
    /// An older one stands before: let go, and ask again after `again`.
    case letGo(slot: UInt32)
    case again(slot: UInt32)
    case released(slot: UInt32)
    /// All commits up to a number are applied, all announcements up to `noted` are noted.
    case applied(through: UInt64, noted: UInt64, grantsPendings: Bool)
    /// Nothing but what every message says: up to where the sender's log is durable.
    case durable
    /// Forget the standing vote on an account; answered by `revoked`.
    case revoke(place: UInt32, accountHash: UInt64)

    /// Take my clock over, and answer by `heard`.
    case hear
    /// All that was decided up to the clock that was asked stands before this in the lane.
    case heard

    // The consistent cut at a time.
    /// What the sender decides after this, it decides after the cut; its decisions for the receiver up to a number belong to it.
    case marker(time: UInt64, decided: UInt64)
    /// To shard 0: the sender's share is there; or its clock was past the time.
    case share(time: UInt64)
    case late(time: UInt64)
}

/// The event of a chain that is refused for good, and why.
struct FaultyEvent: BitwiseCopyable, Equatable {
    var index: UInt32
    var code: ResultCode
}

// MARK: As a cell of a lane

extension ProtocolMessage {
    /// The cell that carries it; `send` adds what every message says.
    @inline(__always)
    func cell(from shard: ShardID) -> Message {
        switch self {
        case .prepare(let slot, let age, let creditHash):
            return Message(.prepare, from: shard, slot: slot, time: age, sequence: creditHash)
        case .release(let slot, let fault):
            var cell = Message(.release, from: shard, slot: slot)
            if let fault {
                cell.rawCode = fault.code.rawValue
                cell.index = fault.index
            }
            return cell
        case .commit(let slot, let sequence, let time):
            return Message(.commit, from: shard, slot: slot, time: time.nanoseconds, sequence: sequence)
        case .lock(let slot, let age, let chain):
            var cell = Message(.lock, from: shard, slot: slot, time: age)
            cell.index = chain
            return cell
        case .look(let slot, let time): return Message(.look, from: shard, slot: slot, time: time.nanoseconds)
        case .announce(let slot, let creditHash, let flags):
            var cell = Message(.announce, from: shard, slot: slot, sequence: creditHash)
            cell.operation = flags.rawValue
            return cell
        case .credit(let credit):
            let account = credit.account.value
            var cell = Message(
                .credit, from: shard, slot: UInt32(truncatingIfNeeded: account), time: credit.timestamp.nanoseconds,
                sequence: credit.amount)
            cell.stream = UInt32(truncatingIfNeeded: account >> 32)
            cell.request = UInt32(truncatingIfNeeded: account >> 64)
            cell.index = UInt32(truncatingIfNeeded: account >> 96)
            return cell
        case .commits(let through, let time):
            return Message(.commits, from: shard, time: time.nanoseconds, sequence: through)
        case .revoked(let place): return Message(.revoked, from: shard, slot: place)
        case .yes(let slot, let stands, let grantsPendings):
            var cell = Message(.voteYes, from: shard, slot: slot)
            cell.index = stands ? 1 : 0
            cell.operation = grantsPendings ? 1 : 0
            return cell
        case .no(let slot, let code):
            var cell = Message(.voteNo, from: shard, slot: slot)
            cell.rawCode = code.rawValue
            return cell
        case .chainYes(let slot, let isReserved, let hasRoom, let standing):
            var cell = Message(.chainYes, from: shard, slot: slot, sequence: standing)
            cell.index = isReserved ? 1 : 0
            cell.operation = hasRoom ? 1 : 0
            return cell
        case .waiting(let slot): return Message(.waiting, from: shard, slot: slot)
        case .letGo(let slot): return Message(.letGo, from: shard, slot: slot)
        case .again(let slot): return Message(.again, from: shard, slot: slot)
        case .released(let slot): return Message(.released, from: shard, slot: slot)
        case .applied(let through, let noted, let grantsPendings):
            var cell = Message(.applied, from: shard, time: noted, sequence: through)
            cell.operation = grantsPendings ? 1 : 0
            return cell
        case .durable: return Message(.durable, from: shard)
        case .revoke(let place, let accountHash):
            return Message(.revoke, from: shard, slot: place, sequence: accountHash)
        case .hear: return Message(.hear, from: shard)
        case .heard: return Message(.heard, from: shard)
        case .marker(let time, let decided): return Message(.marker, from: shard, time: time, sequence: decided)
        case .share(let time): return Message(.share, from: shard, time: time)
        case .late(let time): return Message(.late, from: shard, time: time)
        }
    }

    /// What a cell of the protocol's lane says.
    @inline(__always)
    init(_ cell: Message) {
        switch cell.kind {
        case .prepare: self = .prepare(slot: cell.slot, age: cell.time, creditHash: cell.sequence)
        case .release: self = .release(slot: cell.slot, fault: Self.fault(cell))
        case .commit: self = .commit(slot: cell.slot, sequence: cell.sequence, time: Timestamp(cell.time))
        case .lock: self = .lock(slot: cell.slot, age: cell.time, chain: cell.index)
        case .look: self = .look(slot: cell.slot, time: Timestamp(cell.time))
        case .announce:
            self = .announce(
                slot: cell.slot, creditHash: cell.sequence, flags: LogRecordFlags(rawValue: cell.operation))
        case .credit:
            let low = UInt64(cell.slot) | UInt64(cell.stream) << 32
            let high = UInt64(cell.request) | UInt64(cell.index) << 32
            let account = AccountID(UInt128(high) << 64 | UInt128(low))
            self = .credit(LoggedCredit(account: account, amount: cell.sequence, timestamp: Timestamp(cell.time)))
        case .commits: self = .commits(through: cell.sequence, time: Timestamp(cell.time))
        case .revoked: self = .revoked(place: cell.slot)
        case .voteYes: self = .yes(slot: cell.slot, stands: cell.index != 0, grantsPendings: cell.operation != 0)
        case .voteNo: self = .no(slot: cell.slot, code: Self.code(cell))
        case .chainYes:
            self = .chainYes(
                slot: cell.slot, isReserved: cell.index != 0, hasRoom: cell.operation != 0, standing: cell.sequence)
        case .waiting: self = .waiting(slot: cell.slot)
        case .letGo: self = .letGo(slot: cell.slot)
        case .again: self = .again(slot: cell.slot)
        case .released: self = .released(slot: cell.slot)
        case .applied:
            self = .applied(through: cell.sequence, noted: cell.time, grantsPendings: cell.operation != 0)
        case .durable: self = .durable
        case .revoke: self = .revoke(place: cell.slot, accountHash: cell.sequence)
        case .hear: self = .hear
        case .heard: self = .heard
        case .marker: self = .marker(time: cell.time, decided: cell.sequence)
        case .share: self = .share(time: cell.time)
        case .late: self = .late(time: cell.time)
        case .request, .result, .record, .adopt: stop("message \(cell.kind) is not between shards")
        }
    }

    private static func fault(_ cell: Message) -> FaultyEvent? {
        cell.rawCode == 0 ? nil : FaultyEvent(index: cell.index, code: code(cell))
    }

    private static func code(_ cell: Message) -> ResultCode {
        guard let code = ResultCode(rawValue: cell.rawCode) else { stop("a message with code \(cell.rawCode)") }
        return code
    }
}

extension Message {
    @inline(__always)
    fileprivate init(
        _ kind: MessageKind, from shard: ShardID, slot: UInt32 = 0, time: UInt64 = 0, sequence: UInt64 = 0
    ) {
        self.init(kind, from: shard, slot: slot)
        self.time = time
        self.sequence = sequence
    }
}

// What an answer of another shard does to a slot, of a single transfer or of a chain: every pair of state and answer stands
// here, and in the tables of Docs/Architecture.md, which a test compares. Pure; the shard carries the actions out.

internal import SuanpanCore

/// What a shard says about one of our slots.
enum PeerAnswer: Equatable {
    case yes(stands: Bool)
    case no(ResultCode)
    case chainYes(isReserved: Bool, hasRoom: Bool, standing: UInt64)
    case waiting
    case letGo
    case again
    case released

    var kind: PeerAnswerKind {
        switch self {
        case .yes: .yes
        case .no: .no
        case .chainYes: .chainYes
        case .waiting: .waiting
        case .letGo: .letGo
        case .again: .again
        case .released: .released
        }
    }
}

enum PeerAnswerKind: String, CaseIterable {
    case yes, no, chainYes, waiting, letGo, again, released
}

/// What a single transfer's slot does then.
enum SlotAction: String {
    /// Holds both sides: decided when it is the first of its debit account.
    case vote
    case refuse
    /// The peer waits for younger ones: those behind this one let go.
    case wait
    /// Holds nothing; the peer will say when to begin again.
    case suspend
    /// Holds nothing, and may begin again.
    case park
    /// Said before our `release` arrived.
    case ignore
    /// No peer says that.
    case never
}

/// What a chain does for one of its slots.
enum ChainSlotAction: String {
    /// One shard more holds its part: when all do, the chain is judged.
    case vote
    /// All other shards are told to let go; this one will say when to begin again.
    case suspend
    /// One shard less is waited for: when none is, the chain begins again, or is answered.
    case release
    case ignore
    case never
}

extension SlotState {
    /// Of a single transfer's slot.
    @inline(__always)
    func action(on answer: PeerAnswerKind) -> SlotAction {
        switch (self, answer) {
        case (.preparing, .yes), (.waitingAtPeer, .yes): .vote
        case (.preparing, .no), (.waitingAtPeer, .no): .refuse
        case (.preparing, .waiting): .wait
        case (.preparing, .letGo), (.waitingAtPeer, .letGo): .suspend
        case (.suspended, .again), (.aborting, .released): .park
        case (.aborting, .yes), (.aborting, .no), (.aborting, .waiting), (.aborting, .letGo), (.aborting, .again):
            .ignore
        case (_, .chainYes), (.free, _), (.parked, _), (.voted, _), (.decided, _): .never
        case (.preparing, .again), (.preparing, .released): .never
        case (.waitingAtPeer, .waiting), (.waitingAtPeer, .again), (.waitingAtPeer, .released): .never
        case (.suspended, .yes), (.suspended, .no), (.suspended, .waiting), (.suspended, .letGo): .never
        case (.suspended, .released): .never
        }
    }

    /// Of a chain's slot.
    @inline(__always)
    func chainAction(on answer: PeerAnswerKind) -> ChainSlotAction {
        switch (self, answer) {
        case (.preparing, .chainYes): .vote
        case (.preparing, .letGo): .suspend
        case (.suspended, .again), (.aborting, .released): .release
        case (.aborting, .chainYes), (.aborting, .letGo), (.aborting, .again): .ignore
        case (_, .yes), (_, .no), (_, .waiting): .never
        case (.free, _), (.parked, _), (.waitingAtPeer, _), (.voted, _), (.decided, _): .never
        case (.preparing, .again), (.preparing, .released): .never
        case (.suspended, .chainYes), (.suspended, .letGo), (.suspended, .released): .never
        }
    }
}

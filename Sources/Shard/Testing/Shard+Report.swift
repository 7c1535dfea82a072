// What a shard has under way, in words: for a simulation that is stuck.

internal import SuanpanCore
internal import SuanpanLedger

extension Shard {
    /// A line for each participant, slot, chain and account with something undecided. For people; not for the hot path.
    public var underWay: String {
        var lines: [String] = []
        for p in 0..<participants.count where participants[p].state != .free {
            let kind = participants[p].chain != 0 ? "chain" : "transfer"
            lines.append("participant \(p): \(kind) \(participants[p].state), age \(participants[p].age)")
        }
        for i in 0..<slots.count where slots[i].state != .free {
            lines.append("slot \(i): \(slots[i].state), peer \(slots[i].peer.value), chain \(slots[i].chain)")
        }
        for c in 0..<chains.count where chains[c].state != .free {
            lines.append("chain \(c): \(chains[c].kind) \(chains[c].state), waits for \(chains[c].outstanding)")
        }
        for e in 0..<undecided.count where undecided[e].isUsed {
            let u = undecided[e]
            lines.append(
                "account \(ledger.account(u.account).id.value): open \(u.openHead), parked \(u.parkedHead), "
                    + "credits \(u.creditList.head), waiting \(u.waitList.head), dying \(u.dyingList.head), "
                    + "reserved \(u.reservations.head), lock \(u.lock), mark \(u.mark), reads \(u.readHead), standing \(ledger.standing(u.account))"
            )
        }
        return lines.map { "\n    " + $0 }.joined()
    }
}

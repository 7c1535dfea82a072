// Goal: what one shard says arrives as it was said. Method: every kind with values at its ends, as a cell and back.

import SuanpanCore
import SuanpanLanes
import Testing

@testable import SuanpanShard

struct ProtocolMessageTests {
    private var said: [ProtocolMessage] {
        var said: [ProtocolMessage] = [.durable, .hear, .heard]
        for slot in [0, 1, UInt32.max] {
            said += [.waiting(slot: slot), .letGo(slot: slot), .again(slot: slot), .released(slot: slot)]
            said += [.revoked(place: slot), .release(slot: slot, fault: nil)]
            said += [.no(slot: slot, code: .exceedsCredits), .no(slot: slot, code: .capacityExhausted)]
            said.append(.release(slot: slot, fault: FaultyEvent(index: slot, code: .exceedsDebits)))
            for word in [0, 1, UInt64.max] {
                said += [
                    .prepare(slot: slot, age: word, creditHash: ~word), .lock(slot: slot, age: word, chain: ~slot),
                ]
                said += [.commit(slot: slot, sequence: word, time: Timestamp(~word))]
                said += [.look(slot: slot, time: Timestamp(word)), .revoke(place: slot, accountHash: word)]
                said.append(.announce(slot: slot, creditHash: word, flags: LogRecordFlags(rawValue: 0x2A)))
                for flag in [false, true] {
                    said += [.yes(slot: slot, stands: flag, grantsPendings: !flag)]
                    said += [.chainYes(slot: slot, isReserved: flag, hasRoom: !flag, standing: word)]
                    said += [.applied(through: word, noted: ~word, grantsPendings: flag)]
                }
            }
        }
        for word in [0, 1, UInt64.max] {
            said += [.commits(through: word, time: Timestamp(~word)), .marker(time: word, decided: ~word)]
            said += [.share(time: word), .late(time: word)]
            let wide = AccountID(UInt128(0x0123_4567_89AB_CDEF) << 64 | 0xFEDC_BA98_7654_3210)
            for account in [AccountID(1), wide] {
                said.append(.credit(LoggedCredit(account: account, amount: word, timestamp: Timestamp(~word))))
            }
        }
        return said
    }

    @Test func everyKindArrivesAsItWasSaid() {
        for message in said {
            let cell = message.cell(from: ShardID(63))
            #expect(ProtocolMessage(cell) == message && cell.from == 63 && !cell.hasRecord)
        }
    }

    /// Every kind between shards is among them.
    @Test func allKindsAreTried() {
        let tried = Set(said.map { $0.cell(from: ShardID(0)).kind.rawValue })
        let all = (UInt8.min ... .max).compactMap { MessageKind(rawValue: $0) }
        let others: [MessageKind] = [.request, .result, .record, .adopt]
        #expect(tried == Set(all.map(\.rawValue)).subtracting(others.map(\.rawValue)))
    }

    @Test func aMessageFitsACell() { #expect(MemoryLayout<Message>.size <= 64) }
}

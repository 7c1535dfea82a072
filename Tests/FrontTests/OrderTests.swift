// Goal: a command of a connection does not pass one that goes alone (`CommandOrderTests` has the others). Method: a front
// without a shard, and requests put into its tables as commands put them there.

import Glibc
import SuanpanCore
import SuanpanLanes
import SuanpanUring
import Testing

@testable import SuanpanFront

@Test func aCommandBehindACutWaits() throws {
    var ring = try Ring(entries: 64)
    let requests = try LaneOwner(cells: 1024)
    let control = try LaneOwner(cells: 1024)
    let routing = Routing(key: HashKey(a: 1, b: 2), shardCount: 2)
    var front = try Front(
        core: ShardID(0),
        configuration: FrontConfiguration(
            routing: routing, password: [], connections: ConnectionCounts(coreCount: 2, connectionsMax: 4),
            progressTimeoutNanoseconds: 1_000_000_000,
            replies: ReplyBudget(bytesMax: 1 << 20), board: StatusBoard(coreCount: 2, facts: StatusFacts()),
            history: try HistoryDesk(routing: routing, shards: [], callers: [], bells: [])),
        ring: &ring, requestLanes: [nil, requests.lane], controlLanes: [nil, control.lane])
    front.adopt(socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0), .resp, ring: &ring)
    let c = 0
    // A cut goes alone: nothing behind it is read before it is answered, nothing of it is asked before all is answered.
    let isTaken = front.startCut(c, .respTotals, accounts: 0)
    var isAlone = front.connections[c].isAlone
    #expect(isTaken && isAlone)
    let questions = front.takeCutRequests()
    #expect(questions.count == 1 && questions[0].accounts.isEmpty)
    let again = front.startCut(c, .respTotals, accounts: 0)
    #expect(!again)
    let r = try #require(questions[0].request)
    front.requests[Int(r)].isComplete = true
    front.replyInOrder(c)
    isAlone = front.connections[c].isAlone
    #expect(!isAlone)

    front.closeAll()
}

// Goal: what waits for clients that do not read stays in order, is given back, and is shared alike. Method: the parts by
// themselves, against arrays.

import SuanpanWire
import Testing

@testable import SuanpanFront

@Test func refusalsAreToldInOrder() {
    var owed = OwedRefusals()
    var asked: [(id: UInt64, operation: UInt8)] = []
    for id in [1, 2, 3, 7, 8, 7, 6, .max, 0, 1] as [UInt64] { asked.append((id, id == 8 ? 17 : 3)) }
    for one in asked { owed.add(one.id, operation: one.operation) }
    for one in asked {
        let told = owed.takeFirst()
        #expect(told?.id == one.id && told?.operation == one.operation)
    }
    let isEmpty = owed.takeFirst() == nil && owed.isEmpty
    #expect(isEmpty)
}

@Test func aMillionRefusalsInARowCostNothing() {
    var owed = OwedRefusals()
    for _ in 0..<1_000_000 { owed.addNext() }
    var bytes = owed.memoryBytes
    #expect(bytes == 16)
    var count = 0
    while owed.takeFirst() != nil { count += 1 }
    #expect(count == 1_000_000)
    bytes = owed.memoryBytes
    #expect(bytes == 0)
}

@Test func theBacklogGivesBackChunksInOrder() {
    var backlog = ReplyBacklog()
    for round in 0..<3 {
        for i in 0..<5 {
            var chunk = OutputBuffer(capacity: 1000)
            chunk.append(record: UInt64(round * 5 + i))
            backlog.append(chunk)
        }
        var bytes = backlog.memoryBytes
        #expect(bytes == 5000)
        var sending = OutputBuffer(capacity: 10)
        for i in 0..<5 {
            backlog.takeFirst(into: &sending)
            let number = sending.load(UInt64.self, at: 0)
            #expect(number == UInt64(round * 5 + i))
        }
        bytes = backlog.memoryBytes
        #expect(bytes == 0)
    }
    for _ in 0..<200_000 { backlog.append(OutputBuffer()) }
    // A long one ends without recursion.
    backlog.removeAll()
    let isEmpty = backlog.isEmpty
    #expect(isEmpty)
}

@Test func whoeverTakesAllThatIsFreeEndsWithAnEqualShare() {
    let budget = ReplyBudget(bytesMax: 1 << 20)
    for count in [1, 3, 10] {
        var held = [Int](repeating: 0, count: count)
        for _ in 0..<100_000 {
            for i in held.indices where held[i] < budget.freeBytes {
                held[i] += 100
                budget.add(100)
            }
        }
        let share = budget.bytesMax / (count + 1)
        for bytes in held { #expect(abs(bytes - share) <= 100 * count) }
        #expect(budget.freeBytes >= share - 100 * count)
        budget.add(-held.reduce(0, +))
    }
}

// Goal: a connection's time comes to an end, whatever it sends. Method: the look at one connection, with numbers of its own.

import Testing

@testable import SuanpanFront

@Test func whoeverSendsForEverIsLateInTheEnd() {
    let now: UInt64 = 1 << 60
    var connection = Connection()
    connection.state = .open
    connection.isAuthenticated = true
    connection.sendInFlight = true
    connection.progressAt = now
    // More than 2^64 nanoseconds have at the least rate.
    connection.receivedSince = 1 << 40
    let isLate = connection.isLate(now, timeout: 1_000_000_000, first: 1_000_000_000)
    #expect(isLate)
    connection.sendBeganAt = now
    let isStillLate = connection.isLate(now, timeout: 1_000_000_000, first: 1_000_000_000)
    #expect(!isStillLate)
}

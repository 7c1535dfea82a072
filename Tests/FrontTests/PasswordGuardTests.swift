// Goal: attempts from an address that fails wait ever longer, up to a bound, and no longer than its failures are fresh;
// other addresses do not notice, and however many there are, the memory is bounded. Method: a clock of the test's own.

import Testing

@testable import SuanpanFront

private let second: UInt64 = 1_000_000_000

@Test func failuresMakeAttemptsWaitEverLonger() {
    let passwords = PasswordGuard()
    var waits: [UInt64] = []
    for _ in 0..<20 {
        waits.append(passwords.wait(7, now: second))
        passwords.failed(7, now: second)
    }
    #expect(waits.prefix(3).allSatisfy { $0 == 0 } && waits[3] > 0)
    #expect(waits == waits.sorted() && waits.last == PasswordGuard.waitMax)
    #expect(passwords.wait(8, now: second) == 0)
}

@Test func failuresAreForgotten() {
    let passwords = PasswordGuard()
    for _ in 0..<1000 { passwords.failed(7, now: second) }
    #expect(passwords.wait(7, now: 10 * second) == PasswordGuard.waitMax)
    #expect(passwords.wait(7, now: 60 * second) == 0)
    // A clock that is read on another core may stand a little behind.
    #expect(passwords.wait(7, now: 0) == PasswordGuard.waitMax)
}

@Test func theAddressThatFailedLastIsKnownAmongMany() {
    let passwords = PasswordGuard()
    for address in UInt64(0)..<20_000 { passwords.failed(address, now: second + address) }
    for _ in 0..<10 { passwords.failed(19_999, now: 2 * second) }
    #expect(passwords.wait(19_999, now: 2 * second) == PasswordGuard.waitMax)
    #expect(passwords.wait(0, now: 2 * second) == 0)
}

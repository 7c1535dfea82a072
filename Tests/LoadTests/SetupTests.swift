// Goal: what comes before a load ends in seconds, also where nobody answers, and its sums can be read. Method: a listener
// whose queue is full, as an address that drops packets; plans of several sizes.

import Glibc
import Testing

@testable import SuanpanLoad

struct SetupTests {
    @Test func anAddressThatDropsPacketsIsPassedBy() throws {
        let (hole, holePort) = FakeServer.bound()
        let server = FakeServer()
        defer { server.stop() }
        try #require(listen(hole, 0) == 0)
        let dead = try System.resolve("127.0.0.1", port: holePort, seconds: 10)
        let live = try System.resolve("127.0.0.1", port: server.port, seconds: 10)
        // What fills the queue; the kernel takes one more than asked for.
        let fillers = (0..<4).map { _ in System.socket(dead[0], blocks: false) }
        defer { for fd in fillers + [hole] { close(fd) } }
        for fd in fillers {
            _ = withUnsafeBytes(of: dead[0].storage) {
                connect(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(dead[0].length))
            }
        }
        let socket = try BlockingSocket(dead + live, target: "two", connectSeconds: 1, seconds: 1)
        #expect(socket.address.family == AF_INET)
        do {
            _ = try BlockingSocket(dead, target: "one", connectSeconds: 1, seconds: 1)
            Issue.record("connected to a black hole")
        } catch {
            #expect(
                error
                    == .connect(
                        target: "one",
                        problem: "no answer within 1 s: is the address right, and is no firewall between?"))
        }
    }

    /// A power of ten, and never less than all that a run moves.
    @Test func fundingIsReadableAndEnough() throws {
        var options = LoadOptions(target: "127.0.0.1:1")
        func funding() throws -> UInt128 { AccountBook(try LoadPlan(options)).funding }
        // 10 seconds of a closed loop.
        #expect(try funding() == 100_000_000_000)
        options.transfers = 10
        #expect(try funding() == 1_000_000)
        options.transfers = 7_813
        #expect(try funding() == 10_000_000, "128 times as much is above a million")
        options.transfers = .max
        #expect(try funding() == 1_000_000_000_000_000_000)
        options.transfers = nil
        options.profile = "flash-sale"
        #expect(try funding() == 10_000_000_000, "prices are in fen")
        options.profile = nil
        options.rate = 1_000
        options.durationSeconds = 60
        #expect(try funding() == 10_000_000)
    }
}

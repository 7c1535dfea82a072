// Goal: the simulation sees what it is there to see. Method: each rule is switched off once, in a process of its own as
// some breaches end it; the simulation must notice within a stated number of seeds, by a failure that it reports. The
// control: with the rule kept, the same seed and options show nothing.

#if SUANPAN_FAILPOINTS
    import Foundation
    import Testing

    @testable import SuanpanSimulator

    struct CanaryTests {
        /// Not by an end of another kind: an invariant and a trap end the process by a signal, or with 134.
        @Test(arguments: Canary.allCases) func isCaught(_ canary: Canary) async {
            let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
                [canary = canary as Canary] in canary.sing()
            }
            let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self).split(separator: "\n")
            let reported = said.last { $0.hasPrefix("seed ") && $0.contains(" failed; repeat: ") }
            #expect(reported != nil, "\(canary): no failure is reported: \(said)")
            let seed = reported?.split(separator: " ")[1]
            print("canary \(canary): seed \(seed ?? "none") of \(Canary.seedsMax): \(said.first ?? "")")
            // The same seed and options with the rule kept, and another seed.
            let caught = seed.flatMap { UInt64($0) }
            for seed in Set([caught, canary.isSlow ? nil : 1].compactMap(\.self)) {
                #expect(throws: Never.self, "\(canary) is caught without its fault") { try canary.keepRule(seed: seed) }
            }
        }
    }

    extension Canary {
        /// Two cores' time matters: clients that talk to fronts are slow.
        fileprivate var isSlow: Bool { options(seed: 1).frontFault != nil }

        fileprivate func keepRule(seed: UInt64) throws {
            var options = options(seed: seed)
            options.fault = nil
            options.harnessFault = nil
            options.frontFault = nil
            options.loopFault = nil
            // A fault that stops it is caught early; with the rule kept a seed may have a slow disk.
            options.turnsMax = 200_000
            let began = Date()
            _ = try Runner.run(options)
            print("control \(self) \(seed): \(Int(Date().timeIntervalSince(began) * 1000)) ms")
        }
    }
#endif

// Goal: the simulation sees what it is there to see. Method: each rule is switched off once, in a process of its own as
// some breaches end it; the simulation must notice within a stated number of seeds.

#if SUANPAN_FAILPOINTS
    import Foundation
    import Testing

    @testable import SuanpanSimulator

    struct CanaryTests {
        @Test(arguments: Canary.allCases) func isCaught(_ canary: Canary) async {
            let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                [canary = canary as Canary] in canary.sing()
            }
            let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self).split(separator: "\n")
            let seed = said.last { $0.hasPrefix("seed ") }?.split(separator: " ")[1]
            print("canary \(canary): seed \(seed ?? "none") of \(Canary.seedsMax): \(said.first ?? "")")
        }
    }
#endif

// Runs ranges of seeds and says what they have visited.

import Foundation

public enum Runner {
    /// Runs one seed; a failure names the command that repeats it.
    static func run(_ options: SimulationOptions) throws -> (coverage: Coverage, digest: Int) {
        CurrentSeed.set(options.seed)
        do {
            let simulation = try Simulation(options)
            try simulation.run()
            return (simulation.coverage, simulation.digest)
        } catch {
            throw Failure(
                description: "\(error)\nseed \(options.seed) failed; repeat: \(command(options))")
        }
    }

    private static func command(_ options: SimulationOptions) -> String {
        options.hasDoors == true
            ? ".build/release/suanpan-simulator 1 \(options.seed) doors" : "make sim SEEDS=1 FIRST_SEED=\(options.seed)"
    }

    /// Runs `seeds` seeds from `first` on and prints what was visited; one seed with its trace.
    /// - Parameter hasDoors: True: clients talk to fronts in all of them, not only in those that choose so.
    /// - Returns: How many failed; each is printed with the command that repeats it.
    public static func run(first: UInt64, seeds: Int, hasDoors: Bool? = nil) -> Int {
        var coverage = Coverage()
        var failures = 0
        let began = Date()
        for seed in first..<first + UInt64(seeds) {
            var options = SimulationOptions(seed: seed)
            options.isTracing = seeds == 1
            options.hasDoors = hasDoors
            do { coverage += try run(options).coverage } catch {
                failures += 1
                print("\(error)")
                fflush(nil)
            }
        }
        print("\(coverage.summary)\n  \(failures) failed, \(Int(Date().timeIntervalSince(began) * 1000)) ms")
        return failures
    }
}

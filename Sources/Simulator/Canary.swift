// Builds with one rule broken: a simulation that does not notice each of them is blind. Debug builds only.

#if SUANPAN_FAILPOINTS
    import Foundation
    import SuanpanJournal
    import SuanpanShard

    /// A build with one rule broken.
    public enum Canary: String, CaseIterable, Codable, Sendable {
        // Rules of the shard.
        case answerBeforeDurable, commitBeforeDurable, voteBeforeDurable, refuseInsteadOfWait, readUndecided
        case waitWithoutDying, keepFollowers, forgetIDs, forgetOpenIDs
        case unlockBeforeCommit, expireWithoutLock, applyChainInPart
        case releaseBeforeNoted, keepStandingVotes, keepPromises
        case cutThoughLate, cutWithoutLanes, cutWithLaterCommits, cutBeforeDurable
        // Rules of what surrounds it.
        case answerAtOnceBeforeDurable, skipRedo, redoAgain, ignoreFailedWrite
        case acceptTornGroups

        /// It is seen by this seed at the latest.
        public static let seedsMax: UInt64 = 100

        func options(seed: UInt64) -> SimulationOptions {
            var options = SimulationOptions(seed: seed)
            options.fault = Fault.allCases.first { "\($0)" == rawValue }
            options.harnessFault = HarnessFault(rawValue: rawValue)
            switch self {
            case .unlockBeforeCommit, .applyChainInPart, .expireWithoutLock, .keepStandingVotes, .keepPromises:
                options.isPlain = false
            case .ignoreFailedWrite: options.isDiskFaulty = true
            default:
                if options.fault != nil {
                    options.isPlain = true
                    options.isContended = true
                }
            }
            if options.fault != nil { options.shards = 2 }
            // A crash would end the deadlock.
            options.crashes = self == .waitWithoutDying ? 0 : 5
            return options
        }

        /// Ends the process by the first seed that notices, if any does.
        public func sing() {
            if self == .acceptTornGroups { RecoveryFault.acceptTornGroups.store(true, ordering: .relaxed) }
            for seed in 1...Self.seedsMax {
                do { _ = try Runner.run(options(seed: seed)) } catch {
                    FileHandle.standardError.write(Data("\(error)\n".utf8))
                    exit(1)
                }
            }
        }
    }
#endif

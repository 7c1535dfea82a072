// Builds with one rule broken: a simulation that does not notice each of them is blind. Debug builds only.

#if SUANPAN_FAILPOINTS
    import Foundation
    import SuanpanFront
    import SuanpanJournal
    import SuanpanLoop
    import SuanpanShard

    /// A build with one rule broken.
    public enum Canary: String, CaseIterable, Codable, Sendable {
        // Rules of the shard; `RuleTests` has those that seeds seldom see.
        case answerBeforeDurable, commitBeforeDurable, voteBeforeDurable, refuseInsteadOfWait, readUndecided
        case waitWithoutDying, forgetIDs, forgetOpenIDs
        case unlockBeforeCommit, expireWithoutLock, applyChainInPart
        case keepStandingVotes, keepPromises
        case holdPastDeadline
        case reserveNothing
        case cutThoughLate, cutWithoutLanes, cutWithLaterCommits, cutBeforeDurable
        // Rules of what surrounds it.
        case answerAtOnceBeforeDurable, skipRedo, redoAgain, ignoreFailedWrite
        case acceptTornGroups
        // Rules of the loop.
        case releaseBeforeClock
        // Rules of the front.
        case replyBeforeDurable, passOthers, replyNewestFirst, forgetGenerations, dropWhenEnded,
            trustBodies

        /// It is seen by this seed at the latest.
        public static let seedsMax: UInt64 = 100

        func options(seed: UInt64) -> SimulationOptions {
            var options = SimulationOptions(seed: seed)
            options.fault = Fault(named: rawValue)
            options.harnessFault = HarnessFault(rawValue: rawValue)
            options.frontFault = FrontFault(rawValue: rawValue)
            options.loopFault = LoopFault(rawValue: rawValue)
            options.hasDoors = options.frontFault != nil
            // Pieces of a byte take their turns.
            options.turnsMax = options.hasDoors == true ? 200_000 : 20_000
            options.visitsMax = 2_000
            if options.fault != nil {
                options.shards = 2
                options.isPlain = true
                options.isContended = true
                options.isSteady = false
            }
            options.crashes = 5
            switch self {
            case .waitWithoutDying:
                // A crash would end the deadlock, which needs no search.
                options.isBulk = false
                options.isLaneSlow = false
                options.looks = 0
                options.crashes = 0
                options.eventsMax = 100
                options.visitsMax = 50
            case .unlockBeforeCommit, .expireWithoutLock:
                options.isPlain = false
            case .applyChainInPart:
                options.isPlain = false
                // Seen before a hold that was applied in part is posted, which would end the process.
                options.isSelling = true
                options.crashes = 0
            case .holdPastDeadline:
                options.isPlain = false
                options.crashes = 0
            case .reserveNothing:
                options.isPlain = false
                options.isContended = false
                options.isSelling = true
                options.isSteady = false
                options.isBulk = false
                options.isLaneSlow = false
                options.crashes = 0
                options.looks = 0
                options.eventsMax = 100
            case .keepStandingVotes, .keepPromises:
                options.isPlain = false
                options.isContended = false
                options.isSteady = true
                options.freezes = 15
                options.crashes = 0
                options.eventsMax = 40
                options.visitsMax = 1_500
            case .readUndecided:
                options.isContended = false
                options.isSteady = true
                options.isLaneSlow = true
                options.looks = 50
                options.crashes = 0
                options.eventsMax = 80
            case .cutThoughLate, .cutWithoutLanes, .cutWithLaterCommits, .cutBeforeDurable:
                options.isContended = false
                options.isSteady = true
                options.looks = 40
                options.eventsMax = 150
                options.isLaneSlow = self != .cutBeforeDurable
                options.isDiskSlow = self == .cutBeforeDurable
                if self == .cutBeforeDurable {
                    options.looks = 75
                    options.crashes = 12
                }
                if self == .cutThoughLate {
                    options.cutMisses = 95
                    options.cutLead = 1
                }
            case .releaseBeforeClock:
                // A cut sets the clocks of those who see it ahead of the time, and so apart from the others'.
                options.isSteady = true
                options.looks = 50
                options.crashes = 0
                options.cutMisses = 95
                options.cutLead = 4000
            case .replyBeforeDurable: options.isDiskSlow = true
            case .passOthers:
                options.isSteady = true
                options.isLaneSlow = true
                options.looks = 50
                options.crashes = 0
                options.eventsMax = 60
            case .forgetGenerations:
                options.isDiskSlow = true
                options.crashes = 0
                options.breaks = 20
            case .trustBodies:
                options.crashes = 0
                options.hostiles = 10
            case .ignoreFailedWrite: options.isDiskFaulty = true
            case .acceptTornGroups:
                options.isBulk = true
                options.isDiskSlow = true
            default: break
            }
            return options
        }

        /// Ends the process by the first seed that notices, from `first` on, if any does.
        public func sing(from first: UInt64 = 1) {
            if self == .acceptTornGroups { RecoveryFault.acceptTornGroups.store(true, ordering: .relaxed) }
            for seed in first...Self.seedsMax {
                do { _ = try Runner.run(options(seed: seed)) } catch {
                    FileHandle.standardError.write(Data("\(error)\n".utf8))
                    exit(1)
                }
            }
        }
    }
#endif

// Torn or damaged: what recovery makes of the place where a group should begin. A pure table, after TigerBeetle's
// journal; a test enumerates its rows, and Docs/DiskFormat.md prints them.

/// What stands where the next group should begin.
public enum GroupFinding: CaseIterable, Hashable, Sendable {
    /// A group that continues the log, its records whole.
    case sound
    /// The first block is zeros.
    case blank
    /// A sound header of an earlier epoch, left behind an earlier cut.
    case stale
    /// Bytes that are no header of this directory, or one whose checksum fails.
    case unreadableHeader
    /// A header that continues the log, with records that fail their checksum.
    case badPayload
    /// A sound header of this directory that belongs to another shard, file or offset.
    case misplaced
    /// A sound header of this epoch and place that does not continue the group before.
    case brokenChain
    /// A sound header of an epoch newer than any known.
    case unknownEpoch
    /// The log goes on in a segment whose file is not there.
    case segmentMissing
}

/// Where in the log it stands.
public enum GroupPlace: CaseIterable, Hashable, Sendable {
    /// Before the begin of a later epoch: an opening has read, synced and built upon it.
    case beforeLaterEpoch
    case inNewestEpoch
}

/// What sound group headers of the newest epoch further on say.
public enum LaterEvidence: CaseIterable, Hashable, Sendable {
    case none
    /// There are some, but their durable LSN is below the first LSN of this place: several writes were in flight.
    case unproven
    /// One knows an LSN durable that is missing here.
    case proven
}

public enum RecoveryVerdict: Hashable, Sendable {
    case accept
    /// The log ends here, cleanly.
    case endOfLog
    /// The log ends here; what follows was being written when the process died, and nothing acknowledged it.
    case cutTornTail
    case damaged(DamageReason)
}

public enum RecoveryDecision {
    public static func verdict(
        _ finding: GroupFinding, _ place: GroupPlace, _ later: LaterEvidence
    ) -> RecoveryVerdict {
        switch (finding, place, later) {
        case (.sound, _, _): .accept

        // No crash makes these: headers are written whole (one block) and in the order of their chain.
        case (.misplaced, _, _): .damaged(.misplacedGroup)
        case (.brokenChain, _, _): .damaged(.chainBroken)
        case (.unknownEpoch, _, _): .damaged(.unknownEpoch)

        case (.blank, .beforeLaterEpoch, _), (.blank, _, .proven): .damaged(.groupMissing)
        case (.blank, _, .none): .endOfLog
        case (.blank, _, .unproven): .cutTornTail

        case (.stale, .beforeLaterEpoch, _), (.stale, _, .proven): .damaged(.staleGroup)
        case (.stale, _, .none): .endOfLog
        case (.stale, _, .unproven): .cutTornTail

        case (.unreadableHeader, .beforeLaterEpoch, _), (.unreadableHeader, _, .proven): .damaged(.headerUnreadable)
        case (.unreadableHeader, _, _): .cutTornTail

        case (.badPayload, .beforeLaterEpoch, _), (.badPayload, _, .proven): .damaged(.payloadChecksum)
        case (.badPayload, _, _): .cutTornTail

        // Segments appear in order: a later one, whatever it holds, proves that this one was there.
        case (.segmentMissing, .inNewestEpoch, .none): .endOfLog
        case (.segmentMissing, _, _): .damaged(.segmentMissing)
        }
    }
}

// What an embedder sees of a start under way, and how it ends one.

internal import SuanpanJournal

/// Give it to `Engine.init`, which blocks, and look at it from another thread.
public final class StartProgress: Sendable {
    let replay = ReplayProgress()

    public init() {}

    /// The share of the logs that is replayed: 0 to 1; 1 once the engine serves.
    public var share: Double { Double(replay.percent) / 100 }

    /// Ends the start: `Engine.init` throws `cancelled` soon, the directory is free and as a crash at this moment would leave
    /// it. Without effect once the engine serves.
    public func cancel() { replay.cancel() }
}

extension EngineError {
    /// What ended a start.
    init(starting error: JournalError) { self = error == .cancelled ? .cancelled : .journal(error) }
}

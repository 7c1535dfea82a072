// What ends a core.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanUring

/// What ends a core, and with it the engine.
public enum CoreError: Error, CustomStringConvertible {
    case journal(JournalError)
    case ring(RingError)
    case system(SystemError)

    public var description: String {
        switch self {
        case .journal(let error): "\(error)"
        case .ring(let error): "\(error)"
        case .system(let error): "\(error)"
        }
    }
}

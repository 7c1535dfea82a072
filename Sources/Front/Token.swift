// The names of ring requests: which part of a core a completion belongs to.

/// Kinds of ring requests of one core. In the top byte of a token; the rest is the part's own number.
public enum TokenKind: UInt8, Sendable {
    case journalWrite = 1
    case journalSync = 2
    case acceptNative = 3
    case acceptRESP = 4
    case receive = 5
    case send = 6
    case bell = 7
    case cancel = 8

    public func token(_ number: UInt64 = 0) -> UInt64 { UInt64(rawValue) << 56 | number }

    public static func split(_ token: UInt64) -> (kind: TokenKind?, number: UInt64) {
        (TokenKind(rawValue: UInt8(token >> 56)), token & (1 << 56 - 1))
    }
}

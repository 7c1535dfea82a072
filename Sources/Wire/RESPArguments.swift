// The arguments of one RESP command, as slices of the bytes received. One table serves all connections of a core.

public import SuanpanCore

/// One argument: where its bytes lie in the source of its command.
@frozen public struct RESPArgument: BitwiseCopyable, Sendable, Equatable {
    @usableFromInline var rawOffset: UInt32
    @usableFromInline var rawLength: UInt32

    @inlinable public var offset: Int { Int(rawOffset) }
    @inlinable public var length: Int { Int(rawLength) }

    @inlinable init(offset: Int, length: Int) {
        rawOffset = UInt32(truncatingIfNeeded: offset)
        rawLength = UInt32(truncatingIfNeeded: length)
    }
}

/// A table of the arguments of the command parsed last; `RESPParser` fills it and `RESPCommand` reads it.
///
/// The slices of an array command point into the bytes received. Those of an inline command point into `scratch`, where
/// quotes and escapes are already taken away. Both are valid until the next command is parsed.
public struct RESPArguments: ~Copyable {
    /// Arguments of one command: `ACCOUNT.GET` and as many ids as fit.
    public static let countMax = 1024

    public internal(set) var count = 0
    /// True where the slices point into `scratch`.
    var isInline = false
    private var slices = FixedArray<RESPArgument>(count: Self.countMax)
    var scratch = OutputBuffer()
    /// Ids of `ACCOUNT.GET`, decoded; `RESPCommand.accountGet` says how many.
    var ids = FixedArray<UInt128>(count: Self.countMax)

    public init() {}

    public subscript(index: Int) -> RESPArgument {
        invariant(index >= 0 && index < count, "argument \(index) of \(count)")
        return slices[index]
    }

    /// The `index`-th id of an `ACCOUNT.GET` that was decoded last.
    public func accountID(_ index: Int) -> AccountID { AccountID(ids[index]) }

    mutating func removeAll() {
        count = 0
        isInline = false
    }

    /// False when the table is full.
    @inline(__always)
    mutating func append(offset: Int, length: Int) -> Bool {
        guard count < Self.countMax else { return false }
        slices[count] = RESPArgument(offset: offset, length: length)
        count += 1
        return true
    }

    /// Calls `body` with the bytes that all slices of the command point into.
    /// - Parameter input: The bytes given to the parser.
    @inline(__always)
    borrowing func withSource<Result>(_ input: Span<UInt8>, _ body: (Span<UInt8>) -> Result) -> Result {
        isInline ? scratch.withBytes(body) : body(input)
    }

    /// Calls `body` with the bytes of one argument.
    /// - Parameter input: The bytes given to the parser.
    public borrowing func withBytes<Result>(
        of argument: RESPArgument, input: Span<UInt8>, _ body: (Span<UInt8>) -> Result
    ) -> Result {
        withSource(input) { body($0.extracting(argument.offset..<(argument.offset + argument.length))) }
    }
}

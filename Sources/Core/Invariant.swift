// Our own bugs end the process: a ledger that is wrong about itself must not answer.

internal import Glibc

/// Ends the process with a message on stderr unless `condition` holds. On in release builds too.
@inlinable @inline(__always)
public func invariant(
    _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID,
    line: UInt = #line
) {
    if _slowPath(!condition()) { stop("invariant broken: \(message())", file: file, line: line) }
}

/// Ends the process at once: what broke and where, then `abort` (no destructors, no flushing of half-made state).
@inline(never)
public func stop(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    let text = "suanpan: \(message) (\(file):\(line))\n"
    // SAFETY: the bytes live for this call; a short write to stderr loses text only.
    unsafe text.utf8.withContiguousStorageIfAvailable { _ = unsafe write(2, $0.baseAddress, $0.count) }
    abort()
}

// Goal: no bytes make the server's decoder of requests or the clients' reader of replies trap, read past their input, or
// change their mind with how they were cut. Method: libFuzzer; half of the inputs get correct checksums, so that it comes
// past them.

import SuanpanCore
import SuanpanWire

// Do not rename: libFuzzer calls it by this name.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrames(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer's buffer is readable for `count` bytes during the call.
    let input = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: data, count: count))
    let whole = walk(input)
    for end in [count / 3, count / 2, max(0, count - 1)] {
        let part = walk(input.extracting(0..<end))
        invariant(part.frames <= whole.frames, "less input, more frames")
        invariant(whole.refused || !part.refused, "refused before, accepted now")
    }
    compareReplies(input)
    // The same bytes as an honest frame: operation, id, count and flags are the fuzzer's, length and checksums right.
    guard count >= 24 else { return 0 }
    var out = OutputBuffer()
    let frame = out.beginFrame()
    out.append(input.extracting(24..<count))
    var header = FrameHeader(input[0], requestID: UInt64(input[1]), flags: UInt32(input[2]))
    header.count = UInt32(input[3]) << 8 | UInt32(input[4])
    out.endFrame(frame, header)
    out.withBytes {
        _ = walk($0)
        compareReplies($0)
    }
    return 0
}

private func compareReplies(_ input: Span<UInt8>) {
    let whole = readReplies(input, pieces: max(1, input.count))
    for size in [1, 7, 64] { invariant(readReplies(input, pieces: size) == whole, "pieces of \(size) read otherwise") }
}

// What a connection does with the bytes it gets.
// A file of its own, as a lone file would be taken for a script with a `main`, which libFuzzer brings.

import SuanpanCore
import SuanpanWire

/// What a connection does with its input: frames until one is refused or incomplete.
func walk(_ bytes: Span<UInt8>) -> (frames: Int, refused: Bool) {
    var start = 0
    var frames = 0
    while true {
        switch FrameDecoder.request(bytes.extracting(start..<bytes.count)) {
        case .needMore(let atLeast):
            invariant(atLeast > bytes.count - start, "needs what it has")
            return (frames, false)
        case .refused(let status, _):
            invariant(status.closesConnection, "refused with \(status)")
            return (frames, true)
        case .frame(let header, let consumed):
            invariant(consumed >= FrameHeader.bytes && start + consumed <= bytes.count, "took \(consumed) bytes")
            if let item = header.operation?.requestItemBytes {
                invariant(Int(header.count) * item == consumed - FrameHeader.bytes, "count and length disagree")
            }
            frames += 1
            start += consumed
        }
    }
}

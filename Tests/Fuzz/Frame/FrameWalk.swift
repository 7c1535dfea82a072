// What a connection does with the bytes it gets, and what a client does with those of a server.
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
        case .refused(let status, _, _):
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

/// Everything that a reader of replies tells, folded into one value.
struct Read: Equatable {
    var frames = 0
    var digest: UInt64 = 14_695_981_039_346_656_037
    var refusal: Status?

    mutating func add(_ byte: UInt8) { digest = (digest ^ UInt64(byte)) &* 1_099_511_628_211 }
}

/// What a client does with replies that come in pieces of `size` bytes.
func readReplies(_ bytes: Span<UInt8>, pieces size: Int) -> Read {
    var read = Read()
    var reader = FrameReader()
    var left = 0
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + size)
        let piece = bytes.extracting(start..<end)
        var offset = 0
        reading: while true {
            let before = offset
            switch reader.next(piece, at: &offset) {
            case .more:
                invariant(offset == piece.count, "wants more and has some")
                break reading
            case .header:
                left = Int(reader.header.bodyLength)
                read.add(reader.header.rawStatus)
            case .body(let range):
                invariant(
                    range.lowerBound == before && range.upperBound == offset && !range.isEmpty, "a piece elsewhere")
                for i in range { read.add(piece[i]) }
                left -= range.count
            case .end:
                invariant(left == 0 && reader.isBetweenFrames, "ended before its end")
                read.frames += 1
            case .refused(let status):
                read.refusal = status
                return read
            }
        }
        start = end
    }
    return read
}

// Goal: the buffer holds what was appended and not yet taken, however it grows. Method: against an array, seeded.

import SuanpanWire
import Testing

@Test func bufferAgreesWithAnArray() {
    for seed in UInt64(1)...200 {
        var random = SeededGenerator(seed: seed)
        var buffer = OutputBuffer()
        var model: [UInt8] = []
        for _ in 0..<200 {
            switch Int.random(in: 0...6, using: &random) {
            case 0:
                let byte = UInt8.random(in: 0...255, using: &random)
                buffer.append(byte)
                model.append(byte)
            case 1:
                let bytes = (0..<Int.random(in: 0...300, using: &random)).map { UInt8(truncatingIfNeeded: $0) }
                buffer.append(bytes.span)
                model += bytes
            case 2:
                buffer.append("-EXCEEDS")
                model += Array("-EXCEEDS".utf8)
            case 3:
                let value =
                    UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 0...63, using: &random)
                buffer.append(decimal: value)
                model += Array("\(value)".utf8)
            case 4:
                buffer.append(record: UInt32(0x0403_0201))
                model += [1, 2, 3, 4]
            case 5:
                let taken = Int.random(in: 0...model.count, using: &random)
                buffer.removeFirst(taken)
                model.removeFirst(taken)
            default:
                let kept = Int.random(in: 0...model.count, using: &random)
                buffer.truncate(to: kept)
                model.removeLast(model.count - kept)
            }
            let count = buffer.count
            #expect(count == model.count, "seed \(seed)")
        }
        let content = buffer.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
        #expect(content == model, "seed \(seed)")
        buffer.removeFirst(buffer.count)
        buffer.releaseMemory()
        let capacity = buffer.capacity
        #expect(capacity == 0)
    }
}

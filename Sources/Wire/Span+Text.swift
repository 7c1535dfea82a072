// Reading text protocols out of received bytes: names, numbers. No String, no allocation; every access is bounds-checked.

internal import SuanpanCore

/// Bytes that protocols are made of.
enum ASCII {
    static let carriageReturn = UInt8(ascii: "\r")
    static let newline = UInt8(ascii: "\n")
    static let zero = UInt8(ascii: "0")

    @inline(__always) static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 9 && byte <= 13) }

    /// 0 to 15, or nil.
    @inline(__always) static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

extension Span where Element == UInt8 {
    /// True where the argument is `word` (capitals), in any case.
    @inline(__always)
    func matches(_ argument: RESPArgument, _ word: StaticString) -> Bool {
        matches(offset: argument.offset, length: argument.length, word)
    }

    func matches(offset: Int, length: Int, _ word: StaticString) -> Bool {
        guard length == word.utf8CodeUnitCount, word.hasPointerRepresentation else { return false }
        for i in 0..<length {
            var byte = self[offset + i]
            if byte >= 0x61 && byte <= 0x7A { byte -= 0x20 }
            // SAFETY: i is less than the literal's length, which was compared above.
            if unsafe byte != word.utf8Start[i] { return false }
        }
        return true
    }

    /// False where it is empty, too.
    func beginsWithLetter(_ argument: RESPArgument) -> Bool {
        guard argument.length > 0 else { return false }
        let letter = self[argument.offset] | 0x20
        return letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z")
    }

    /// The argument as an unsigned number, decimal or with `0x` in front; nil where it is none or exceeds 128 bits.
    /// - Complexity: O(digits); up to 19 decimal digits cost 64-bit arithmetic only.
    func unsigned(_ argument: RESPArgument) -> UInt128? {
        let end = argument.offset + argument.length
        var i = argument.offset
        if i == end { return nil }
        if argument.length > 2, self[i] == ASCII.zero, self[i + 1] | 0x20 == UInt8(ascii: "x") {
            return hexadecimal(from: i + 2, to: end)
        }
        var value: UInt128 = 0
        while i < end {
            let chunkEnd = Swift.min(end, i + 19)
            var chunk: UInt64 = 0
            var scale: UInt64 = 1
            while i < chunkEnd {
                let digit = self[i] &- ASCII.zero
                if digit > 9 { return nil }
                chunk = chunk &* 10 &+ UInt64(digit)
                scale = scale &* 10
                i += 1
            }
            if value == 0 {
                value = UInt128(chunk)
            } else {
                let (product, overflow) = value.multipliedReportingOverflow(by: UInt128(scale))
                let (sum, carry) = product.addingReportingOverflow(UInt128(chunk))
                if overflow || carry { return nil }
                value = sum
            }
        }
        return value
    }

    private func hexadecimal(from start: Int, to end: Int) -> UInt128? {
        var value: UInt128 = 0
        for i in start..<end {
            guard let digit = ASCII.hexDigit(self[i]), value >> 124 == 0 else { return nil }
            value = value << 4 | UInt128(digit)
        }
        return value
    }
}

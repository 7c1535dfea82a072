// Goal: no bytes make the RESP parser, the decoder or the replies that quote them trap, and cutting the stream changes
// nothing. Method: libFuzzer; each input is walked whole, then in two pieces, and the outcomes are compared.

import SuanpanCore
import SuanpanWire

// Do not rename: libFuzzer calls it by this name.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRESP(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer's buffer is readable for `count` bytes during the call.
    let input = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: data, count: count))
    compare(input)
    let expanded = expand(input)
    compare(expanded.span)
    return 0
}

private func compare(_ input: Span<UInt8>) {
    let whole = walk(input, cut: input.count)
    let cut = input.isEmpty ? 0 : Int(input[0]) * input.count / 256
    invariant(walk(input, cut: cut) == whole, "the cut at \(cut) changed the outcome")
}

/// Replaces bytes from 0x80 on by words of the language, which the fuzzer would hardly find by itself.
private func expand(_ input: Span<UInt8>) -> [UInt8] {
    var expanded: [UInt8] = []
    for i in 0..<input.count {
        if input[i] < 0x80 { expanded.append(input[i]) } else { expanded += words[Int(input[i] - 0x80) % words.count] }
    }
    return expanded
}

private let words: [[UInt8]] = [
    "TRANSFER ", "transfer 1 2 3 4 5 6 ", "TRANSFER.POST 1 2 3 ", "TRANSFER.VOID 1 2 3 ", "TRANSFER.GET ",
    "ACCOUNT.CREATE 1 2 3 ", "ACCOUNT.GET ", "ACCOUNT.FREEZE 1 ", "ACCOUNT.UNFREEZE 1 ", "ACCOUNT.TRANSFERS 1 ",
    "HELLO 3 ", "AUTH ", "SETNAME ", "CLIENT ", "SETINFO ", "COMMAND ", "DOCS ", "INFO ", "CONFIG GET ", "PING ",
    "ECHO ", "SELECT ", "PENDING ", "BALANCING ", "CLOSING ", "DEBIT ", "CREDIT ", "DATA128 ", "DATA64 ", "DATA32 ",
    "FLAGS ", "closed,", "history ", "AMOUNT ", "FROM ", "TO ", "LIMIT ", "REV ", "BOTH ", "\r\n", "0x",
    "340282366920938463463374607431768211455 ", "18446744073709551616 ", "*2\r\n$4\r\nECHO\r\n$",
    "*7\r\n$8\r\nTRANSFER\r\n",
    "$1\r\n", "$-1\r\n", "*-1\r\n", "\\x4", "\" ", "' ",
].map { Array($0.utf8) }

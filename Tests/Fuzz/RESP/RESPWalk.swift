// What a RESP connection does with the bytes it gets, folded into one outcome.
// A file of its own, as a lone file would be taken for a script with a `main`, which libFuzzer brings.

import SuanpanCore
import SuanpanWire

/// Everything that a stream led to, folded into one number.
struct Outcome: Equatable {
    var commands = 0
    var digest: UInt64 = 14_695_981_039_346_656_037
    var isMalformed = false

    mutating func add(_ byte: UInt8) { digest = (digest ^ UInt64(byte)) &* 1_099_511_628_211 }
}

/// Feeds `input[0..<cut]`, then all of it.
func walk(_ input: Span<UInt8>, cut: Int) -> Outcome {
    var outcome = Outcome()
    var parser = RESPParser()
    var arguments = RESPArguments()
    var out = OutputBuffer()
    var start = 0
    for end in [cut, input.count] {
        var isWaiting = false
        while !isWaiting {
            let bytes = input.extracting(start..<end)
            switch parser.parse(bytes, into: &arguments) {
            case .needMore(let atLeast):
                invariant(atLeast > bytes.count, "needs what it has")
                isWaiting = true
            case .malformed(let error):
                RESPEncoder().error(error, into: &out)
                outcome.isMalformed = true
                out.withBytes { bytes in for i in 0..<bytes.count { outcome.add(bytes[i]) } }
                return outcome
            case .command(let consumed):
                invariant(consumed > 0 && consumed <= bytes.count, "took \(consumed) bytes")
                outcome.commands += 1
                outcome.add(UInt8(truncatingIfNeeded: arguments.count))
                answer(RESPCommand.decode(&arguments, bytes), arguments, bytes, &out)
                out.withBytes { bytes in for i in 0..<bytes.count { outcome.add(bytes[i]) } }
                out.removeAll()
                start += consumed
            }
        }
    }
    return outcome
}

/// Writes what quotes or repeats the input.
private func answer(
    _ command: RESPCommand, _ arguments: borrowing RESPArguments, _ input: Span<UInt8>, _ out: inout OutputBuffer
) {
    let encoder = RESPEncoder(version: .three)
    switch command {
    case .refused(let error):
        encoder.error(error, of: arguments, input: input, into: &out)
        out.withBytes { reply in
            for i in 0..<(reply.count - 2) { invariant(reply[i] >= 0x20, "a control character in an error reply") }
        }
    case .echo(let argument), .ping(let argument?): encoder.bulk(argument, of: arguments, input: input, into: &out)
    case .command(let command): encoder.command(command, arguments, input: input, into: &out)
    case .client(let client):
        encoder.client(client, RESPClientFacts(connectionID: 1), arguments, input: input, into: &out)
    case .configGet: encoder.configGet(arguments, input: input, isSynced: true, into: &out)
    case .transfer(let transfer): encoder.encode(transfer: transfer, into: &out)
    case .accountCreate(let account): encoder.encode(account: account, into: &out)
    case .accountGet(let count): for i in 0..<count { out.append(decimal: arguments.accountID(i).value) }
    default: break
    }
}

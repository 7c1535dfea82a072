// Goal: no bytes in the files of a data directory make recovery or `verify` trap, hang or take memory without bound; what
// an engine's shards wrote and recovery accepts is in double entry. Method: libFuzzer; the input is a script that writes
// the logs of two shards (`Script`), with damage before or after the checksums; an opening as an engine does it follows.

import Suanpan
import SuanpanCore
import SuanpanJournal

// Do not rename: libFuzzer calls it by this name.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRecovery(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer's buffer is readable for `count` bytes during the call.
    let input = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: data, count: count))
    // SAFETY: libFuzzer calls this on one thread.
    let files = unsafe Files.shared
    var script = Script(input, files.routing)
    let images = script.run(input)
    files.write(images)

    let opened = Opening.open(files.path)
    if case .balances(let sums) = opened, script.isHonest {
        for (ledger, sum) in sums {
            invariant(sum.debitsPosted == sum.creditsPosted, "ledger \(ledger): posted debits are not posted credits")
            invariant(
                sum.debitsPending == sum.creditsPending, "ledger \(ledger): pending debits are not pending credits")
        }
    }
    guard script.isVerified else { return 0 }
    do throws(EngineError) {
        let report = try Verifier.verify(dataDirectory: files.path)
        invariant(!script.isHonest || report.balanced, "verify finds an honest log out of balance")
        if case .refused(let why) = opened { stop("verify accepts what an opening refuses: \(why)") }
    } catch {}
    return 0
}

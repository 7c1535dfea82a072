// usage: suanpan-simulator SEEDS FIRST_SEED [doors]   doors: clients talk to fronts in every seed
//        suanpan-simulator canary NAME [SEED]   debug builds: one rule broken, until a seed from SEED on notices

import Foundation
import SuanpanSimulator

@main enum Main {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        #if SUANPAN_FAILPOINTS
            if arguments.count >= 2, arguments[0] == "canary", let canary = Canary(rawValue: arguments[1]) {
                return canary.sing(from: arguments.dropFirst(2).first.flatMap { UInt64($0) } ?? 1)
            }
        #endif
        let hasDoors = arguments.count == 3 && arguments[2] == "doors"
        guard arguments.count == 2 || hasDoors, let seeds = Int(arguments[0]), let first = UInt64(arguments[1]) else {
            FileHandle.standardError.write(Data("usage: suanpan-simulator SEEDS FIRST_SEED [doors]\n".utf8))
            exit(2)
        }
        exit(Runner.run(first: first, seeds: seeds, hasDoors: hasDoors ? true : nil) == 0 ? 0 : 1)
    }
}

// usage: suanpan-simulator SEEDS FIRST_SEED

import Foundation
import SuanpanSimulator

@main enum Main {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst().map { UInt64($0) }
        guard arguments.count == 2, let seeds = arguments[0], let first = arguments[1] else {
            FileHandle.standardError.write(Data("usage: suanpan-simulator SEEDS FIRST_SEED\n".utf8))
            exit(2)
        }
        exit(Runner.run(first: first, seeds: Int(seeds)) == 0 ? 0 : 1)
    }
}

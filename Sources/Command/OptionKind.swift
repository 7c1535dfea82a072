// What each option takes, whichever layer it comes from.

internal import Suanpan
internal import SuanpanLoad

enum OptionKind: Equatable {
    case text
    /// A text that is never printed.
    case password
    case whole(ClosedRange<Int>)
    /// A whole number up to what 64 bits hold.
    case count(atLeast: UInt64)
    case number(ClosedRange<Double>)
    /// A number above 0.
    case positive(atMost: Double)
    case size
    case onOff

    /// Options that a configuration file may hold. One file may serve all commands.
    static let of: [String: OptionKind] = [
        "data": .text, "shards": .whole(EngineConfiguration.Bounds.shards), "native": .text, "resp": .text,
        "durability": .text, "memory": .size, "password": .password, "password-file": .text, "segment": .size,
        "connections-max": .whole(EngineConfiguration.Bounds.connectionsMax),
        "timeout": .whole(EngineConfiguration.Bounds.timeoutSeconds), "pin": .onOff, "clock": .text,
        "clock-jump-max": .whole(EngineConfiguration.Bounds.clockJumpMaxSeconds),
        "target": .text, "protocol": .text, "profile": .text, "kind": .text, "accounts": .whole(LoadLimits.accounts),
        "connections": .whole(LoadLimits.connections), "batch": .whole(LoadLimits.batch),
        "in-flight": .whole(LoadLimits.inFlight), "rate": .positive(atMost: LoadLimits.rateMax),
        "duration": .positive(atMost: LoadLimits.durationMax), "transfers": .count(atLeast: 1),
        "purchases": .count(atLeast: 1), "merchants": .whole(LoadLimits.merchants),
        "fee-accounts": .whole(LoadLimits.feeAccounts), "hot-fee-share": .number(LoadLimits.percent),
        "voids": .number(LoadLimits.percent), "hot-share": .number(LoadLimits.percent),
        "hot-accounts": .whole(0...LoadLimits.hotAccounts.upperBound), "hot-payer-share": .number(LoadLimits.percent),
        "zipf": .number(LoadLimits.zipf), "cross-shard": .number(LoadLimits.percent),
        "pending": .number(LoadLimits.percent), "chain": .whole(LoadLimits.chain), "seed": .count(atLeast: 0),
        "threads": .whole(LoadLimits.threads), "json": .text, "format": .text,
    ]

    /// What to write.
    var advice: String {
        switch self {
        case .text, .password: "give a text, in quotes"
        case .whole(let range): EngineConfiguration.advice(range)
        case .count(let least): "give a whole number of at least \(least)"
        case .number(let range): "give a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))"
        case .positive(let most): "give a number above 0, at most \(Int(most))"
        case .size: "give a size such as 512MiB, 4GiB or a number of bytes"
        case .onOff: "give on or off"
        }
    }

    /// Whether a text, as any layer may give it, is a value of this kind and within its bounds.
    func takes(_ written: String) -> Bool {
        let text = written.trimmingSpaces()
        return switch self {
        case .text, .password: true
        case .whole(let range): Int(text).map(range.contains) ?? false
        case .count(let least): UInt64(text).map { $0 >= least } ?? false
        case .number(let range): Double(text).map(range.contains) ?? false
        case .positive(let most): Double(text).map { $0 > 0 && $0 <= most } ?? false
        case .size: parseSize(text) != nil
        case .onOff: parseBool(text) != nil
        }
    }

    /// Whether a text is a value of this kind, within its bounds or not. As the parser reads it: without spaces.
    func reads(_ text: String) -> Bool {
        switch self {
        case .whole: Int(text) != nil
        case .count: UInt64(text) != nil
        case .number, .positive: Double(text) != nil
        case .text, .password, .size, .onOff: true
        }
    }

    /// Whether JSON may write it as a number, as a boolean.
    var isNumber: Bool {
        switch self {
        case .whole, .count, .number, .positive, .size: true
        case .text, .password, .onOff: false
        }
    }
    var isBoolean: Bool { self == .onOff }
}

// Text to values, with messages that say what was written and what to write instead.

internal import Glibc
internal import Suanpan

extension Settings {
    func int(_ name: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
        guard let setting = try setting(name) else { return nil }
        guard let value = Int(setting.text.trimmingSpaces()), range.contains(value) else {
            throw setting.wrong(EngineConfiguration.advice(range))
        }
        return value
    }

    func bool(_ name: String) throws(Failure) -> Bool? {
        guard let setting = try setting(name) else { return nil }
        guard let value = parseBool(setting.text) else { throw setting.wrong(OptionKind.onOff.advice) }
        return value
    }

    func choice<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Value.Type
    ) throws(Failure) -> Value? where Value.RawValue == String {
        guard let setting = try setting(name) else { return nil }
        guard let value = Value(rawValue: setting.text.trimmingSpaces()) else {
            throw setting.wrong("give one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    /// Bytes: `4GiB`, `512MiB`, `64KiB`, `1GB` or a plain number.
    func size(_ name: String) throws(Failure) -> Int? {
        guard let setting = try setting(name) else { return nil }
        guard let bytes = parseSize(setting.text.trimmingSpaces()) else { throw setting.wrong(OptionKind.size.advice) }
        return bytes
    }

    /// Nil where nobody gave it; `.some(nil)` where it says `off`.
    func endpoint(_ name: String) throws(Failure) -> Endpoint?? {
        guard let setting = try setting(name) else { return nil }
        let text = setting.text.trimmingSpaces()
        if text == "off" { return .some(nil) }
        switch parseEndpoint(text) {
        case .success(let endpoint): return endpoint
        case .failure(let problem): throw setting.wrong(problem.advice)
        }
    }
}

func parseBool(_ text: String) -> Bool? {
    switch text.trimmingSpaces().lowercased() {
    case "1", "true", "yes", "on": true
    case "0", "false", "no", "off": false
    default: nil
    }
}

private let sizeUnits: [(suffix: String, bytes: Int)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000),
    ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("B", 1),
]

/// Nil for what is not a size, is negative or does not fit.
func parseSize(_ text: String) -> Int? {
    let unit = sizeUnits.first { text.lowercased().hasSuffix($0.suffix.lowercased()) }
    let digits = text.dropLast(unit?.suffix.count ?? 0).description.trimmingSpaces()
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) || $0 == 46 }) else { return nil }
    if let whole = Int(digits) {
        let (bytes, overflow) = whole.multipliedReportingOverflow(by: unit?.bytes ?? 1)
        return overflow ? nil : bytes
    }
    guard let unit, let fraction = Double(digits) else { return nil }
    return Int(exactly: (fraction * Double(unit.bytes)).rounded(.down))
}

/// What is wrong with an endpoint's text.
struct EndpointProblem: Error {
    var advice: String
}

/// `HOST:PORT`: an IPv4 address, an IPv6 address in brackets, or a name; port 0 lets the kernel choose.
func parseEndpoint(_ text: String) -> Result<Endpoint, EndpointProblem> {
    func wrong(_ what: String) -> Result<Endpoint, EndpointProblem> {
        .failure(EndpointProblem(advice: "\(what); write HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420"))
    }
    let host: Substring
    let rest: Substring
    if text.hasPrefix("[") {
        guard let end = text.firstIndex(of: "]") else { return wrong("the bracket is not closed") }
        host = text[text.index(after: text.startIndex)..<end]
        rest = text[text.index(after: end)...]
        guard isAddress(String(host), family: AF_INET6) else { return wrong("'\(host)' is not an IPv6 address") }
    } else {
        guard let colon = text.firstIndex(of: ":") else { return wrong("has no port or no host") }
        guard colon == text.lastIndex(of: ":") else { return wrong("an IPv6 address stands in brackets") }
        host = text[..<colon]
        rest = text[colon...]
        guard !host.isEmpty else { return wrong("has no host") }
        let isNumeric = host.first.map { ("0"..."9").contains($0) } ?? false
        if isNumeric, !isAddress(String(host), family: AF_INET) { return wrong("'\(host)' is not an IPv4 address") }
        let isName = host.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 46
        }
        guard isName else { return wrong("'\(host)' is not a host") }
    }
    let digits = rest.dropFirst()
    guard rest.hasPrefix(":"), !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }),
        let port = UInt16(digits)
    else { return wrong("the port must be a number from 0 to 65535") }
    return .success(Endpoint(host: String(host), port: port))
}

private func isAddress(_ text: String, family: CInt) -> Bool {
    var address = in6_addr()
    // SAFETY: room for the larger of the two families.
    return unsafe inet_pton(family, text, &address) == 1
}

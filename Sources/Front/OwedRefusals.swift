// Requests that were refused unexecuted and are not yet told so: kept as runs, since a client's request ids mostly follow
// each other. So a client that sends a million requests before it reads costs a few bytes.

internal import SuanpanCore
internal import SuanpanWire

struct OwedRefusals: ~Copyable {
    private struct Run: BitwiseCopyable {
        var id: UInt64
        var count: UInt32
        var operation: UInt32
        static let bytes = 16
    }

    private var runs = OutputBuffer()
    private var lastID: UInt64 = 0

    init() {}

    var isEmpty: Bool { runs.isEmpty }
    /// Bytes of memory in use.
    var memoryBytes: Int { runs.count }

    mutating func add(_ id: UInt64, operation: UInt8) {
        lastID = id
        if !runs.isEmpty {
            let at = runs.count - Run.bytes
            var run = runs.load(Run.self, at: at)
            if run.operation == operation && run.id &+ UInt64(run.count) == id && run.count < .max {
                run.count += 1
                return runs.overwrite(record: run, at: at)
            }
        }
        runs.append(record: Run(id: id, count: 1, operation: UInt32(operation)))
    }

    /// A request of a protocol that has no ids.
    mutating func addNext() { add(lastID &+ 1, operation: 0) }

    /// The oldest; nil: there is none.
    mutating func takeFirst() -> (id: UInt64, operation: UInt8)? {
        if runs.isEmpty { return nil }
        var run = runs.load(Run.self, at: 0)
        let first = (run.id, UInt8(truncatingIfNeeded: run.operation))
        if run.count > 1 {
            run.id &+= 1
            run.count -= 1
            runs.overwrite(record: run, at: 0)
        } else {
            runs.removeFirst(Run.bytes)
            if runs.isEmpty { runs.releaseMemory() }
        }
        return first
    }

    mutating func removeAll() {
        runs.removeAll()
        runs.releaseMemory()
    }
}

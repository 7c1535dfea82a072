// Replies behind those that the kernel is taking: chunks in the order in which they were written. Each goes back to the
// system when it is sent, so that a peak costs nothing afterwards. Empty unless a client falls behind.

internal import SuanpanWire

struct ReplyBacklog: ~Copyable {
    /// A chunk is closed when it has so many bytes; what a turn adds beyond still fits mostly.
    static let chunkBytes = 224 << 10
    static let chunkCapacity = 256 << 10

    private final class Chunk {
        var replies: OutputBuffer
        var next: Chunk?
        init(_ replies: consuming OutputBuffer) { self.replies = replies }
    }

    private var first: Chunk?
    private var last: Chunk?
    /// Bytes of memory held.
    private(set) var memoryBytes = 0

    init() {}

    deinit { Self.release(first) }

    var isEmpty: Bool { first == nil }

    mutating func append(_ replies: consuming OutputBuffer) {
        memoryBytes += replies.capacity
        let chunk = Chunk(replies)
        if let last { last.next = chunk } else { first = chunk }
        last = chunk
    }

    /// Takes the oldest chunk into `buffer`, whose own memory goes. There must be one.
    mutating func takeFirst(into buffer: inout OutputBuffer) {
        guard let chunk = first else { return }
        memoryBytes -= chunk.replies.capacity
        first = chunk.next
        if first == nil { last = nil }
        swap(&buffer, &chunk.replies)
    }

    mutating func removeAll() {
        Self.release(first)
        first = nil
        last = nil
        memoryBytes = 0
    }

    /// One after the other: a long list would end itself recursively.
    private static func release(_ first: Chunk?) {
        var chunk = first
        while let this = chunk {
            chunk = this.next
            this.next = nil
        }
    }
}

// What becomes of a process that gets no more memory: a limit of address space, strict overcommit, too many mappings. In a
// library that is no reason to end it. All memory of any size is mapped in one of three ways:
//
//     ahead    tables that grow map their next step before they need it, and only while the machine could give 16 MiB beside
//              it: what is left is for the runtime, which ends the process when it gets none. Refused, the table is short:
//              whatever would need more is answered `capacity_exhausted`, and the step ahead is for what is decided already.
//     asked    what one lane, file or question works on. Refused, that throws.
//     needed   what a core is built from, and what it must have for what is decided. It never fails: a core's thread holds a
//              reserve from before its start, and what the kernel refuses comes out of that. The core looks at `check` after
//              each stage of its start and in each of its turns, and ends its engine in good order: nothing is half applied,
//              and no initialiser of a table throws.

internal import CSuanpanSupport
internal import Glibc

/// The calling thread's memory for when there is none.
public enum MemoryReserve {
    /// Enough for what one turn of a core can need: a chunk of each table, a queue that doubles.
    public static let turnBytes = 16 << 20

    /// Takes a reserve. `end` gives it back.
    /// - Throws: When the machine does not give it.
    public static func begin(_ bytes: Int, for what: String) throws(SystemError) {
        let whole = (bytes + 4095) & ~4095
        guard suanpan_reserve_begin(whole) != 0 else { throw refused(whole, what) }
    }

    /// Gives back all but so much of it.
    public static func keep(_ bytes: Int) { suanpan_reserve_keep(bytes) }
    public static func end() { keep(0) }

    /// Something came from the reserve: the machine refused it.
    public static var isUsed: Bool { suanpan_reserve_refused() != 0 }

    /// - Throws: When `isUsed`.
    public static func check(_ what: @autoclosure () -> String) throws(SystemError) {
        let bytes = suanpan_reserve_refused()
        if _slowPath(bytes != 0) { throw refused(bytes, what()) }
    }

    /// The machine gives this process so many bytes now: nothing is kept of them.
    public static func canMap(_ bytes: Int) -> Bool {
        // SAFETY: nobody has seen the mapping before it is gone.
        guard let memory = unsafe suanpan_map(bytes, 0) else { return false }
        unsafe suanpan_unmap(memory, bytes)
        return true
    }

    /// What is thrown where the machine does not give so much memory.
    public static func refused(_ bytes: Int, _ what: String) -> SystemError {
        SystemError("get \(bytes) bytes of memory for \(what)", errno: ENOMEM)
    }

    #if SUANPAN_FAILPOINTS
        /// For tests: the machine gives so many mappings more to the whole process; nil: as it likes.
        public static func refuseMappings(after count: Int?) { suanpan_refuse_mappings(count.map(Int64.init) ?? -1) }
    #endif
}

/// Memory that is needed: zero-filled, page-aligned. See `MemoryReserve`.
@unsafe
func mapNeeded(_ bytes: Int, huge: Bool) -> UnsafeMutableRawPointer {
    guard let memory = unsafe suanpan_map_needed(bytes, huge ? 1 : 0) else {
        stop("out of memory: \(bytes) bytes, and the thread's reserve is used up")
    }
    return unsafe memory
}

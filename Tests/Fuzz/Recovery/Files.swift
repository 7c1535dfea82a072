// The data directory that recovery reads, rewritten for every input: only what the input before it or this one fills.

import Glibc
import SuanpanCore

final class Files {
    // SAFETY: used by libFuzzer's one thread alone.
    nonisolated(unsafe) static let shared = Files()

    let path: String
    let routing = Routing(key: HashKey(LogImage.salt), shardCount: 2)
    /// Bytes written last, by shard and segment.
    private var written = [[0, 0], [0, 0]]

    private init() {
        guard let parent = unsafe getenv("SUANPAN_FUZZ_DIRECTORY") else {
            stop("SUANPAN_FUZZ_DIRECTORY must name a directory to write to, best in memory")
        }
        path = unsafe String(cString: parent) + "/data-\(getpid())"
        make(path)
        write([SuperblockImage.bytes[...]], to: "\(path)/superblock", size: nil)
        for shard in 0..<2 { make("\(path)/shard-00\(shard)") }
    }

    func write(_ images: [LogImage]) {
        for (shard, image) in images.enumerated() {
            let folder = "\(path)/shard-00\(shard)"
            write([image.epochs[...]], to: "\(folder)/epochs", size: image.epochs.count)
            for index in 0..<2 {
                let name = "\(folder)/000000000000000\(index + 1).log"
                let part = image.bytes.dropFirst(index * LogImage.segmentBytes).prefix(LogImage.segmentBytes)
                if part.isEmpty {
                    if written[shard][index] > 0 { unsafe unlink(name) }
                } else {
                    let zeros = [UInt8](repeating: 0, count: max(0, written[shard][index] - part.count))
                    write([part, zeros[...]], to: name, size: LogImage.segmentBytes)
                }
                written[shard][index] = part.count
            }
        }
    }

    private func make(_ path: String) {
        if unsafe mkdir(path, 0o700) != 0 && errno != EEXIST { stop("cannot make \(path): errno \(errno)") }
    }

    private func write(_ parts: [ArraySlice<UInt8>], to path: String, size: Int?) {
        let fd = unsafe open(path, O_WRONLY | O_CREAT, 0o600)
        if fd < 0 { stop("cannot open \(path): errno \(errno)") }
        defer { close(fd) }
        if let size, ftruncate(fd, size) != 0 { stop("cannot size \(path): errno \(errno)") }
        var offset = 0
        for part in parts {
            // SAFETY: the slice lives for the call.
            let count = unsafe part.withUnsafeBytes { unsafe pwrite(fd, $0.baseAddress, $0.count, offset) }
            if count != part.count { stop("cannot write \(path): errno \(errno)") }
            offset += count
        }
    }
}

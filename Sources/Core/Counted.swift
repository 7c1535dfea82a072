// Numbers in sentences.

/// `1 shard`, `2 shards`: for words whose plural takes an s.
public func counted(_ count: some BinaryInteger, _ word: String) -> String {
    "\(count) \(word)\(count == 1 ? "" : "s")"
}

// The one place that says which version this is.

/// Semantic version of the engine, its library and its command.
public enum Version {
    public static let current = "0.1.0"
    /// What clients of Redis are told: the release whose connection commands are understood (HELLO, CLIENT SETINFO,
    /// COMMAND DOCS). They choose by it what they ask for.
    public static let redis = "7.2.0"
    #if DEBUG
        public static let build = "debug"
    #else
        public static let build = "release"
    #endif
}

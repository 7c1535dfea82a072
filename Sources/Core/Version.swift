// The one place that says which version this is.

/// Semantic version of the engine, its library and its command.
public enum Version {
    public static let current = "0.1.0"
    #if DEBUG
        public static let build = "debug"
    #else
        public static let build = "release"
    #endif
}

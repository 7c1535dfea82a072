/// The release, as `suanpan version`, INFO and `status` say it.
public let suanpanVersion = "0.1.0"

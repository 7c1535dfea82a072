// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    // Crash tests walk through the steps of the protocol; a release build has no trace of it.
    .define("SUANPAN_FAILPOINTS", .when(configuration: .debug)),
]

/// A stage of a transfer's way: a short folder under `Sources`, a prefixed module name.
func stage(_ folder: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: "Suanpan\(folder)", dependencies: dependencies, path: "Sources/\(folder)",
        swiftSettings: strict)
}

func tests(_ folder: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: "Suanpan\(folder)Tests", dependencies: dependencies, path: "Tests/\(folder)Tests",
        resources: resources,
        swiftSettings: [.define("SUANPAN_FAILPOINTS", .when(configuration: .debug))])
}

let package = Package(
    name: "suanpan",
    products: [
        .library(name: "Suanpan", targets: ["Suanpan"]),
        .library(name: "SuanpanClient", targets: ["SuanpanClient"]),
        .executable(name: "suanpan", targets: ["suanpan"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.0.0", traits: [.defaults, "YAML"]),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CSuanpanUring", path: "Sources/CUring", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .systemLibrary(name: "CSuanpanNuma", path: "Sources/CNuma", providers: [.apt(["libnuma-dev"])]),
        .systemLibrary(name: "CSuanpanJemalloc", path: "Sources/CJemalloc", providers: [.apt(["libjemalloc-dev"])]),
        .systemLibrary(name: "CSuanpanXXHash", path: "Sources/CXXHash", providers: [.apt(["libxxhash-dev"])]),
        .target(name: "CSuanpanSupport", path: "Sources/CSupport"),

        stage("Core", ["CSuanpanSupport"]),
        stage("Ledger", ["SuanpanCore"]),
        stage("Uring", ["CSuanpanUring", "CSuanpanSupport", "SuanpanCore"]),
        stage("Journal", ["CSuanpanSupport", "CSuanpanXXHash", "SuanpanCore"]),
        stage("History", ["SuanpanCore", "SuanpanLedger", "SuanpanJournal"]),
        stage("Lanes", ["CSuanpanSupport", "SuanpanCore"]),
        stage("Shard", ["SuanpanCore", "SuanpanLedger", "SuanpanJournal", "SuanpanLanes"]),
        stage("Wire", ["CSuanpanSupport", "SuanpanCore"]),
        stage(
            "Front",
            [
                "SuanpanCore", "SuanpanWire", "SuanpanLanes", "SuanpanUring", "SuanpanJournal", "SuanpanLedger",
                "SuanpanShard", "SuanpanHistory", "CSuanpanSupport",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ]),
        stage(
            "Loop", ["SuanpanCore", "SuanpanLanes", "SuanpanUring", "SuanpanJournal", "SuanpanShard", "SuanpanFront"]),
        .target(
            name: "Suanpan",
            dependencies: [
                "SuanpanCore", "SuanpanLedger", "SuanpanJournal", "SuanpanLanes", "SuanpanUring", "SuanpanShard",
                "SuanpanWire", "SuanpanFront", "SuanpanLoop", "SuanpanHistory", "CSuanpanSupport", "CSuanpanNuma",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Sources/Suanpan", swiftSettings: strict),
        .target(
            name: "SuanpanClient", dependencies: ["SuanpanCore", "SuanpanWire", "CSuanpanSupport"],
            path: "Sources/SuanpanClient", swiftSettings: strict),
        .target(
            name: "SuanpanLoad",
            dependencies: [
                "SuanpanCore", "SuanpanWire", "SuanpanUring", "CSuanpanSupport",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Sources/Load", exclude: ["Profiles/README.md"],
            resources: [
                // Profiles is a link to Config/profiles: an installed binary carries the same files.
                .embedInCode("Profiles/daily.json"), .embedInCode("Profiles/flash-sale.json"),
                .embedInCode("Profiles/settlement.json"),
            ],
            swiftSettings: strict),
        // Sources/Command is two modules, so that tests link the commands without jemalloc.
        .target(
            name: "SuanpanCommand",
            dependencies: [
                "Suanpan", "SuanpanCore", "SuanpanLoad", "CSuanpanSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            path: "Sources/Command", exclude: ["Executable"], swiftSettings: strict),
        .executableTarget(
            name: "suanpan", dependencies: ["SuanpanCommand", "CSuanpanJemalloc", "CSuanpanSupport"],
            path: "Sources/Command/Executable", swiftSettings: strict),

        // The naive ledger that tests of every stage may compare with.
        .target(name: "SuanpanLedgerModel", dependencies: ["SuanpanCore"], path: "Tests/LedgerModel"),
        .target(
            name: "SuanpanSimulator",
            dependencies: [
                "SuanpanCore", "SuanpanLedger", "SuanpanJournal", "SuanpanLanes", "SuanpanShard", "SuanpanFront",
                "SuanpanLoop", "SuanpanUring", "SuanpanWire", "SuanpanLedgerModel",
            ],
            path: "Sources/Simulator", exclude: ["Executable"], swiftSettings: strict),
        .executableTarget(
            name: "suanpan-simulator", dependencies: ["SuanpanSimulator"], path: "Sources/Simulator/Executable",
            swiftSettings: strict),

        tests("Core", ["SuanpanCore"]),
        tests("Journal", ["SuanpanCore", "SuanpanJournal"]),
        tests("Wire", ["SuanpanCore", "SuanpanWire"]),
        tests("Client", ["SuanpanClient", "Suanpan", "SuanpanCore", "SuanpanWire"]),
        tests("Uring", ["SuanpanUring"]),
        tests("Front", ["SuanpanFront", "SuanpanCore", "SuanpanLanes", "SuanpanUring"]),
        tests("Engine", ["Suanpan", "SuanpanClient", "SuanpanCore", "SuanpanFront"]),
        tests("Load", ["SuanpanLoad", "SuanpanCore", "SuanpanWire"]),
        tests("Lanes", ["SuanpanCore", "SuanpanLanes"]),
        tests("Ledger", ["SuanpanCore", "SuanpanLedger", "SuanpanLedgerModel"]),
        tests(
            "Shard",
            ["SuanpanCore", "SuanpanLedger", "SuanpanJournal", "SuanpanLanes", "SuanpanShard", "SuanpanSimulator"]),
        tests("Simulator", ["SuanpanSimulator", "SuanpanCore", "SuanpanShard"]),
        tests("Command", ["SuanpanCommand", "Suanpan", "SuanpanCore"]),
    ]
)

// Counts allocations by linking jemalloc into the whole test bundle, where ThreadSanitizer would abort: on demand only,
// SUANPAN_ALLOCATION_TESTS=1.
if Context.environment["SUANPAN_ALLOCATION_TESTS"] != nil {
    package.targets.append(
        tests(
            "Allocation",
            ["SuanpanCore", "SuanpanLedger", "SuanpanJournal", "SuanpanLanes", "SuanpanShard", "CSuanpanJemalloc"]))
}

// Scripts/fuzz builds these with libFuzzer, which other builds do not have.
if Context.environment["SUANPAN_FUZZ"] != nil {
    func fuzzer(_ folder: String, _ dependencies: [Target.Dependency]) -> Target {
        .executableTarget(
            name: "fuzz-\(folder.lowercased())", dependencies: ["SuanpanCore"] + dependencies,
            path: "Tests/Fuzz/\(folder)", exclude: folder == "Recovery" ? ["Corpus", "Found"] : ["Corpus"],
            swiftSettings: strict)
    }
    package.targets += [
        fuzzer("Frame", ["SuanpanWire"]), fuzzer("RESP", ["SuanpanWire"]),
        fuzzer("Recovery", ["SuanpanJournal", "SuanpanLedger", "SuanpanShard", "Suanpan", "CSuanpanXXHash"]),
    ]
}

// Benchmarks are built on demand only: SUANPAN_BENCHMARKS=1, see `make bench`.
if Context.environment["SUANPAN_BENCHMARKS"] != nil {
    package.targets.append(
        .executableTarget(
            name: "suanpan-benchmarks", dependencies: ["Suanpan", "SuanpanCore"], path: "Benchmarks/InProcess"))
}

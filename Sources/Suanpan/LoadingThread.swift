// The thread of the doors while an engine starts.

internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes

struct LoadingThread {
    private let door: LoadingDoor
    private let thread: SystemThread

    /// - Returns: Nil where nothing listens, or the system has no descriptor or thread left: clients then wait in the backlog.
    init?(
        _ sockets: Listeners, _ configuration: EngineConfiguration, connectionsMax: Int, _ board: StatusBoard,
        _ progress: ReplayProgress
    ) {
        var listeners: [LoadingDoor.Listener] = []
        if sockets.nativeFD >= 0 { listeners.append(.init(fd: sockets.nativeFD, door: .native)) }
        if sockets.respFD >= 0 { listeners.append(.init(fd: sockets.respFD, door: .resp)) }
        guard !listeners.isEmpty,
            let door = LoadingDoor(
                listeners, password: Array((configuration.password ?? "").utf8),
                connectionsMax: connectionsMax,
                progressTimeoutNanoseconds: configuration.progressTimeoutNanoseconds, board: board, progress: progress)
        else { return nil }
        self.door = door
        let body: @Sendable () -> Void = {
            // Without it clients wait in the backlog.
            do throws(SystemError) { try MemoryReserve.begin(1 << 20, for: "the doors") } catch { return }
            door.run()
            MemoryReserve.end()
        }
        do throws(SystemError) { thread = try SystemThread.start(body) } catch {
            // Those of the cores will be too many as well: they say so.
            _ = door.takeConnections()
            return nil
        }
    }

    /// Ends the thread; the connections that it has made. Those that nobody takes over are closed.
    func end() -> [LoadedConnection] {
        door.stop()
        thread.join()
        return door.takeConnections()
    }
}

/// All cores are ready: those who came while they were not are served, then all others.
func openDoors(
    for loaded: [LoadedConnection], _ connections: ConnectionCounts, _ callers: [CallerLane], _ bells: [Doorbell]
) {
    for (i, connection) in loaded.enumerated() {
        guard let core = connections.deal(from: i) else { break }
        callers[core].push(connection)
        bells[core].ring()
    }
    callers[0].push(OpenDoors())
    bells[0].ring()
}

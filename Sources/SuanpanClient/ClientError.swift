// Why a call over the network gave no results.

public import SuanpanWire

public enum ClientError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No connection was made.
    case cannotConnect(host: String, port: UInt16, String)
    /// Nothing was executed; try again after so long.
    case busy(retryAfterMilliseconds: UInt32)
    /// The server is starting and replays its logs, of which `percent` are done. Nothing was executed; try again after so long.
    case loading(percent: Int, retryAfterMilliseconds: UInt32)
    /// The server did not execute the request, for this reason.
    case refused(Status)
    /// The filter of a read is not one: what is wrong with it, `FilterRefusal`'s name.
    case invalidFilter(String)
    /// The connection ended before the reply: executed or not, the same call over a new connection tells.
    case disconnected(String)
    /// No reply within so long: executed or not, the same call tells. The connection goes on, and a reply that still comes is
    /// dropped; when calls keep timing out, connect anew.
    case timedOut(after: Duration)
    /// The caller's task was cancelled before the reply: executed or not, the same call tells.
    case cancelled
    /// More events than a request takes; nothing was sent.
    case tooManyEvents(Int)
    /// The client was closed before; nothing was sent.
    case closed

    public var description: String {
        switch self {
        case .cannotConnect(let host, let port, let why): "cannot connect to \(host):\(port): \(why)"
        case .busy(let milliseconds): "busy: nothing was executed, try again after \(milliseconds) ms"
        case .loading(let percent, let milliseconds):
            "loading: the server replays its logs, \(percent)% done; nothing was executed, try again after \(milliseconds) ms"
        case .refused(let status): "refused: \(status.name)"
        case .invalidFilter(let refusal): "invalid filter: \(refusal)"
        case .disconnected(let why): "disconnected: \(why); send the same ids again to learn what was executed"
        case .timedOut(let duration):
            "no reply within \(duration); send the same ids again to learn what was executed, over a new connection when it "
                + "happens again"
        case .cancelled: "the task was cancelled; send the same ids again to learn what was executed"
        case .tooManyEvents(let count): "\(count) events in one call: at most 8190"
        case .closed: "the client is closed"
        }
    }
}

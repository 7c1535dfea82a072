// A caller imports SuanpanClient alone: what its calls take and answer comes with it, and nothing else of Core does, so
// that no name of ours stands in a caller's way.

@_exported public import struct SuanpanCore.Account
@_exported public import struct SuanpanCore.AccountBalance
@_exported public import struct SuanpanCore.AccountFlags
@_exported public import struct SuanpanCore.AccountID
@_exported public import struct SuanpanCore.Amount
@_exported public import struct SuanpanCore.EventResult
@_exported public import enum SuanpanCore.FilterRefusal
@_exported public import struct SuanpanCore.LedgerTotals
@_exported public import struct SuanpanCore.QueryFilter
@_exported public import struct SuanpanCore.QueryFlags
@_exported public import enum SuanpanCore.ResultCode
@_exported public import struct SuanpanCore.Timestamp
@_exported public import struct SuanpanCore.Transfer
@_exported public import struct SuanpanCore.TransferFlags
@_exported public import struct SuanpanCore.TransferID

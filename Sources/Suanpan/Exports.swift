// An embedder imports Suanpan alone: accounts, transfers and results come with it.

@_exported public import SuanpanCore

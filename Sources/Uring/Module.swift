internal import SuanpanCore

"""What billing exports of an organization: the books as they are kept, without what proves who a provider is."""

from common.persistence.export import export_of

from billing.persistence.tables import metadata

PLAN = export_of(
    metadata,
    left_out={},
    withheld={"payments.callback_token": "by which a provider's news of this payment is believed"},
)

"""Resources that have few rules beside those of their shape."""

from typing import Final

from millrace.domain.data_pool import DataPool, DataPoolInput
from millrace.domain.label import Label, LabelInput
from millrace.domain.notification_group import NotificationGroup, NotificationGroupInput
from millrace.domain.template import Template, TemplateInput
from millrace.usecases.crud import Crud
from millrace.usecases.outbound import check_notification_group

LABELS: Final = Crud(Label, LabelInput)
NOTIFICATION_GROUPS: Final = Crud(
    NotificationGroup, NotificationGroupInput, check=check_notification_group
)
TEMPLATES: Final = Crud(Template, TemplateInput)
DATA_POOLS: Final = Crud(DataPool, DataPoolInput)
